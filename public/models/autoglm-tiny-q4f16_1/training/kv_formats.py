"""What a KV cache of fewer bits costs: the model in NumPy, float32 sums, on 4-bit weights, its keys and values rounded.

python kv_formats.py HF_FOLDER CASES [each n-th case]

HF_FOLDER is the checkpoint, CASES a cases.jsonl whose `reference_q4` holds transformers' answers on 4-bit weights.
Needs numpy, safetensors, tokenizers, jinja2 and Pillow; two minutes on one core for 200 cases.
"""
import json
import math
import os
import re
import sys

import numpy as np
from jinja2 import Environment
from PIL import Image
from safetensors import safe_open
from tokenizers import Tokenizer

from mrope import positions

F = np.float32
LAYERS, HEADS, KV, D, INTER = 6, 8, 2, 32, 704
IMAGE, STOPS, MOST_TOKENS = 2034, {2020, 2027, 2029, 2039}, 128
MEAN = np.array((0.48145466, 0.4578275, 0.40821073), F)
STD = np.array((0.26862954, 0.26130258, 0.27577711), F)
erf = np.vectorize(math.erf, otypes=[F])


# ---------------------------------------------------------------- formats: keys or values [.., D] as they are read back
def shared_exponent(x, group, top):
    """`group` neighbours share a power of two of 4 bits, and have whole numbers from -top to top: src/model's q8 at (4, 63)."""
    g = x.reshape(*x.shape[:-1], -1, group)
    e = np.clip(np.frexp(np.abs(g).max(-1, keepdims=True))[1] + 5, 0, 15) - 5
    step = np.exp2(e.astype(F)) / F({63: 64, 7: 64 / 9, 3: 4}[top])
    return (np.clip(np.round(g / step), -top, top) * step).reshape(x.shape).astype(F)


def shared_scale(x, group, top):
    """`group` neighbours share a scale in f16."""
    g = x.reshape(*x.shape[:-1], -1, group)
    s = (np.abs(g).max(-1, keepdims=True) / top).astype(np.float16).astype(F)
    return (np.clip(np.round(g / np.where(s > 0, s, 1)), -top, top) * s).reshape(x.shape).astype(F)


def shared_range(x, group, levels):
    """`group` neighbours share a least value and a step, both in f16."""
    g = x.reshape(*x.shape[:-1], -1, group)
    low = g.min(-1, keepdims=True).astype(np.float16).astype(F)
    s = ((g.max(-1, keepdims=True) - low) / (levels - 1)).astype(np.float16).astype(F)
    return (np.clip(np.round((g - low) / np.where(s > 0, s, 1)), 0, levels - 1) * s + low).reshape(x.shape).astype(F)


def same(x):
    return x


def q8(x):
    return shared_exponent(x, 4, 63)


def q4(x):
    return shared_scale(x, D, 7)


# name: bits a value, keys, values
FORMATS = {
    "f32": (32, same, same),
    "f16": (16, lambda x: x.astype(np.float16).astype(F), lambda x: x.astype(np.float16).astype(F)),
    "q8": (8, q8, q8),
    "keys q8, values 15 levels, scale a head": (6.25, q8, q4),
    "15 levels, exponent every 4": (5, lambda x: shared_exponent(x, 4, 7), lambda x: shared_exponent(x, 4, 7)),
    "16 levels, scale and least value a head": (5, lambda x: shared_range(x, D, 16), lambda x: shared_range(x, D, 16)),
    "15 levels, scale a head": (4.5, q4, q4),
    "15 levels, exponent every 8": (4.5, lambda x: shared_exponent(x, 8, 7), lambda x: shared_exponent(x, 8, 7)),
    "7 levels, exponent every 4": (4, lambda x: shared_exponent(x, 4, 3), lambda x: shared_exponent(x, 4, 3)),
}


# ---------------------------------------------------------------- weights
def fake_q4(w):
    g = w.astype(np.float16).astype(F).reshape(w.shape[0], -1, 32)
    s = (np.abs(g).max(-1, keepdims=True) / F(7)).astype(np.float16).astype(F)
    q = np.clip(np.round(np.where(s > 0, g / np.where(s > 0, s, 1), 0) + 7), 0, 14) - 7
    return (q * s).reshape(w.shape).astype(F)


def is_q4(name):
    return (name.endswith(".weight") and name.startswith("model.language_model.layers.") and "layernorm" not in name) \
        or name in ("lm_head.weight", "model.language_model.embed_tokens.weight")


def read_weights(folder):
    with safe_open(os.path.join(folder, "model.safetensors"), "np") as f:
        w = {k: f.get_tensor(k) for k in f.keys()}
    return {k: fake_q4(v) if is_q4(k) else v.astype(F) for k, v in w.items()}


# ---------------------------------------------------------------- the model
def rms(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + F(1e-5)) * w


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def bicubic(n, side=24, a=-0.75):
    """Rows of weights that stretch `side` table rows over n places, as grid_sample does (border, corners not aligned)."""
    m = np.zeros((n, side), F)
    for i in range(n):
        x = (i + 0.5) / n * side - 0.5
        for k in range(math.floor(x) - 1, math.floor(x) + 3):
            t = abs(x - k)
            c = (a + 2) * t**3 - (a + 3) * t**2 + 1 if t <= 1 else a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
            m[i, min(max(k, 0), side - 1)] += c
    return m


class Model:
    def __init__(self, folder):
        self.w = read_weights(folder)

    def mul(self, x, name):
        y = x @ self.w[name + ".weight"].T
        return y + self.w[name + ".bias"] if name + ".bias" in self.w else y

    def vision(self, path):
        v, w = "model.visual.", self.w
        image = (np.asarray(Image.open(path).convert("RGB"), F) / F(255) - MEAN) / STD
        gh, gw = image.shape[0] // 14, image.shape[1] // 14
        x = image.transpose(2, 0, 1).reshape(3, gh // 2, 2, 14, gw // 2, 2, 14).transpose(1, 4, 2, 5, 0, 3, 6).reshape(gh * gw, 588)
        x = x @ w[v + "patch_embed.proj.weight"].sum(2).reshape(192, 588).T + w[v + "patch_embed.proj.bias"]
        order = np.arange(gh * gw).reshape(gh // 2, 2, gw // 2, 2).transpose(0, 2, 1, 3).ravel()
        r, c = order // gw, order % gw
        table = w[v + "embeddings.position_embedding.weight"].reshape(24, 24, 192)
        place = np.einsum("rR,cC,RCd->rcd", bicubic(gh), bicubic(gw), table, optimize=True)
        x = rms(x, w[v + "post_conv_layernorm.weight"]) + place[r, c]
        inv = 1 / (10000.0 ** (np.arange(0, 16, 2) / 16))
        a = np.concatenate((r[:, None] * inv, c[:, None] * inv), -1)
        cos, sin = (np.concatenate((t, t), -1).astype(F) for t in (np.cos(a), np.sin(a)))

        def rot(t):
            return t * cos + np.concatenate((-t[..., 16:], t[..., :16]), -1) * sin

        for i in range(4):
            b = f"{v}blocks.{i}."
            q, k, val = self.mul(rms(x, w[b + "norm1.weight"]), b + "attn.qkv").reshape(-1, 3, 6, 32).transpose(1, 2, 0, 3)
            o = softmax(rot(q) @ rot(k).transpose(0, 2, 1) / F(math.sqrt(32))) @ val
            x = x + self.mul(o.transpose(1, 0, 2).reshape(-1, 192), b + "attn.proj")
            n = rms(x, w[b + "norm2.weight"])
            x = x + self.mul(silu(self.mul(n, b + "mlp.gate_proj")) * self.mul(n, b + "mlp.up_proj"), b + "mlp.down_proj")
        x = rms(x, w[v + "post_layernorm.weight"]).reshape(-1, 768)
        x = x @ w[v + "downsample.weight"].transpose(0, 2, 3, 1).reshape(256, 768).T + w[v + "downsample.bias"]
        m = v + "merger."
        y = self.mul(x, m + "proj")
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
        y = y * w[m + "post_projection_norm.weight"] + w[m + "post_projection_norm.bias"]
        y = (y * 0.5 * (1 + erf(y / math.sqrt(2)))).astype(F)
        return self.mul(silu(self.mul(y, m + "gate_proj")) * self.mul(y, m + "up_proj"), m + "down_proj")


class Run:
    """One sequence and its cache."""
    axis = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    inv = 1 / (10000.0 ** (np.arange(0, 16, 2) / 16))

    def __init__(self, model, form, room):
        self.model, (_, self.round_k, self.round_v) = model, form
        self.k, self.v = np.zeros((2, LAYERS, KV, room, D), F)
        self.n = 0

    def logits(self, h, pos):
        """Logits behind each of the embeddings h [N, hidden] at positions [3, N], which go into the cache."""
        m, w, n = self.model, self.model.w, len(h)
        a = (pos[self.axis].T * self.inv).astype(F)
        cos, sin = np.cos(a)[:, None], np.sin(a)[:, None]

        def rot(t):
            o, x0, x1 = t.copy(), t[..., 0:16:2], t[..., 1:16:2]
            o[..., 0:16:2], o[..., 1:16:2] = x0 * cos - x1 * sin, x1 * cos + x0 * sin
            return o

        start, end = self.n, self.n + n
        mask = np.where(np.arange(end)[None] > np.arange(start, end)[:, None], F(-1e9), F(0))
        for i in range(LAYERS):
            p = f"model.language_model.layers.{i}."
            x = rms(h, w[p + "input_layernorm.weight"])
            q = rot(m.mul(x, p + "self_attn.q_proj").reshape(n, HEADS, D)).reshape(n, KV, -1, D).transpose(1, 2, 0, 3)
            self.k[i, :, start:end] = self.round_k(rot(m.mul(x, p + "self_attn.k_proj").reshape(n, KV, D))).transpose(1, 0, 2)
            self.v[i, :, start:end] = self.round_v(m.mul(x, p + "self_attn.v_proj").reshape(n, KV, D)).transpose(1, 0, 2)
            s = softmax(q @ self.k[i, :, None, :end].transpose(0, 1, 3, 2) / F(math.sqrt(D)) + mask)
            o = (s @ self.v[i, :, None, :end]).transpose(2, 0, 1, 3).reshape(n, -1)
            h = h + rms(m.mul(o, p + "self_attn.o_proj"), w[p + "post_self_attn_layernorm.weight"])
            g = m.mul(rms(h, w[p + "post_attention_layernorm.weight"]), p + "mlp.gate_up_proj")
            y = m.mul(silu(g[:, :INTER]) * g[:, INTER:], p + "mlp.down_proj")
            h = h + rms(y, w[p + "post_mlp_layernorm.weight"])
        self.n = end
        return m.mul(rms(h, w["model.language_model.norm.weight"]), "lm_head")


# ---------------------------------------------------------------- the measurement
def score(expected, text, size):
    """Action right, tap inside the target (None where there is none to hit): as src/agent/eval.ts."""
    answer = text.split("<answer>")[-1].replace("</answer>", "")
    m = re.match(r'do\(action="([^"]+)"', answer)
    ok = (m[1] if m else "finish" if answer.startswith("finish(") else "text") == expected["action"]
    if "box" not in expected:
        return ok, None
    m = re.search(r"element=\[(\d+),(\d+)\]", answer)
    if not (ok and m):
        return ok, False
    x, y = int(m[1]) * size[0] / 1000, int(m[2]) * size[1] / 1000
    left, top, right, bottom = expected["box"]
    return ok, left <= x <= right and top <= y <= bottom


def answer(model, form, prompt, reference):
    """Log-probabilities along the reference's answer, and the greedy answer, which follows it while it can."""
    h, pos = prompt
    embed, after = model.w["model.language_model.embed_tokens.weight"], int(pos.max()) + 1
    run = Run(model, form, len(h) + MOST_TOKENS)
    first = run.logits(h, pos)[-1:]
    rest = run.logits(embed[reference[:-1]], np.tile(after + np.arange(len(reference) - 1), (3, 1)))
    lp = log_softmax(np.concatenate((first, rest)))
    best = lp.argmax(-1)
    wrong = np.nonzero(best != np.array(reference))[0]
    if len(wrong) == 0:
        return lp, list(reference)
    out = list(reference[:wrong[0]]) + [int(best[wrong[0]])]
    run.n = len(h) + int(wrong[0])
    while out[-1] not in STOPS and len(out) < MOST_TOKENS:
        out.append(int(run.logits(embed[out[-1:]], np.full((3, 1), after + len(out) - 1)).argmax()))
    return lp, out


def main(folder, path, every=1):
    model, tok = Model(folder), Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "chat_template.jinja")) as f:
        template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(f.read())
    with open(path) as f:
        cases = [json.loads(line) for line in f][::every]
    rows = {name: dict(kl=[], other=0, same=0, ok=0, taps=[]) for name in FORMATS}
    for case in cases:
        text = template.render(messages=case["messages"], add_generation_prompt=True)
        size, grids, features = None, [], None
        if case["image"]:
            picture = os.path.join(os.path.dirname(path), case["image"])
            size, features = Image.open(picture).size, model.vision(picture)
            grids = [(1, size[1] // 14, size[0] // 14)]
            text = text.replace("<|image|>", "<|image|>" * len(features))
        ids = tok.encode(text, add_special_tokens=False).ids
        h = model.w["model.language_model.embed_tokens.weight"][ids]
        if features is not None:
            h[np.array(ids) == IMAGE] = features
        reference, whole = case["reference_q4"]["ids"], None
        for name, form in FORMATS.items():
            lp, out = answer(model, form, (h, positions(ids, IMAGE, grids)), reference)
            whole = lp if whole is None else whole
            row = rows[name]
            row["kl"] += list((np.exp(whole) * (whole - lp)).sum(-1))
            row["other"] += int((lp.argmax(-1) != np.array(reference)).sum())
            row["same"] += out == reference
            ok, tap = score(case["expected"], tok.decode([t for t in out if t not in STOPS], skip_special_tokens=False), size)
            row["ok"] += ok
            row["taps"] += [] if tap is None else [tap]
    print(f"{'format':40} bits action   tap    same text  other token          KL: mean       99%")
    for name, r in rows.items():
        n, kl = len(cases), np.array(r["kl"])
        print(f"{name:40} {FORMATS[name][0]:4} {r['ok']}/{n}  {sum(r['taps'])}/{len(r['taps'])}  {r['same']}/{n}"
              f"   {r['other']:3} of {len(kl)}  {kl.mean():.6f}  {np.quantile(kl, 0.99):.5f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1)
