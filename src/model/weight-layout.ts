import { AutoglmError } from '../base/errors.ts';
import { product, roundUp } from '../base/maths.ts';
import type { BufferRef, WeightFormat, WeightMatrix, WeightPart } from '../kernels/kernel.ts';
import type { ModelConfig } from './config.ts';
import { EMBEDDING, FINAL_NORM, HEAD, textLayerName, VISION, visionBlockName } from './tensor-names.ts';

/** What the layout needs to know of a stored tensor. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'uint32' | 'float16' | 'float32';
}

/** Where a range of a stored tensor's bytes goes. */
export interface Placement {
  /** First byte of the range in the stored tensor. */
  readonly tensorOffset: number;
  readonly byteLength: number;
  readonly buffer: string;
  readonly bufferOffset: number;
  /** True when f16 values become f32 on the way, so that they take twice the bytes. */
  readonly isWidened: boolean;
}

/** One decoder layer; vectors are f32. */
export interface TextLayerWeights {
  /** [C] norm before attention */
  readonly inputNorm: BufferRef;
  /** [(H + 2 KV) D, C] */
  readonly qkv: WeightMatrix;
  /** [(H + 2 KV) D] */
  readonly qkvBias: BufferRef;
  /** [C, H D] */
  readonly o: WeightMatrix;
  /** [C] norm of the attention's output */
  readonly postAttentionNorm: BufferRef;
  /** [C] norm before the MLP */
  readonly preMlpNorm: BufferRef;
  /** [2 F, C]: gate, then up */
  readonly gateUp: WeightMatrix;
  /** [C, F] */
  readonly down: WeightMatrix;
  /** [C] norm of the MLP's output */
  readonly postMlpNorm: BufferRef;
}

export interface TextWeights {
  /** [V, C] */
  readonly embedding: WeightMatrix;
  readonly layers: readonly TextLayerWeights[];
  /** [C] */
  readonly finalNorm: BufferRef;
  /** [V, C] */
  readonly head: WeightMatrix;
}

/** One block of the vision tower. */
export interface VisionBlockWeights {
  readonly norm1: BufferRef;
  /** [3 C, C] */
  readonly qkv: WeightMatrix;
  /** [C, C] */
  readonly proj: WeightMatrix;
  readonly norm2: BufferRef;
  /** [2 F, C]: gate, then up */
  readonly gateUp: WeightMatrix;
  /** [C, F] */
  readonly down: WeightMatrix;
}

export interface VisionWeights {
  /** [C, inChannels * temporalPatchSize * patchSize^2] */
  readonly patchEmbed: WeightMatrix;
  readonly patchEmbedBias: BufferRef;
  readonly postConvNorm: BufferRef;
  /** [positionSide^2, C] f32 */
  readonly positions: BufferRef;
  readonly blocks: readonly VisionBlockWeights[];
  readonly postNorm: BufferRef;
  /** [outC, C * spatialMergeSize^2] */
  readonly downsample: WeightMatrix;
  readonly downsampleBias: BufferRef;
  /** [outC, outC] */
  readonly mergerProj: WeightMatrix;
  readonly mergerNorm: BufferRef;
  readonly mergerNormBias: BufferRef;
  /** [2 mergerF, outC]: gate, then up */
  readonly mergerGateUp: WeightMatrix;
  /** [outC, mergerF] */
  readonly mergerDown: WeightMatrix;
}

/** Where every weight of a model lives on the device; plain data, made before anything is allocated. */
export interface WeightLayout {
  /** Bytes of each weight buffer, by name. */
  readonly buffers: ReadonlyMap<string, number>;
  /** Where the bytes of each stored tensor go. */
  readonly placements: ReadonlyMap<string, readonly Placement[]>;
  readonly text: TextWeights;
  readonly vision: VisionWeights;
}

/** Device limits that shape the layout. */
export interface LayoutLimits {
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  readonly bindingAlignment: number;
}

/** Larger buffers are allowed on some devices and refused on others; none is needed above this. */
const MAX_ARENA_BYTES = 2 ** 30;

/**
 * Plans the weight buffers: related matrices are joined (q, k, v; gate, up), each layer shares one buffer,
 * and matrices that one binding cannot hold are cut by rows.
 *
 * @throws AutoglmError `tensor-missing`, `tensor-unknown`, `tensor-shape` or `tensor-dtype`
 */
export function layOutWeights(
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  limits: LayoutLimits,
): WeightLayout {
  const builder = new LayoutBuilder(tensors, limits);
  const layout = { text: layOutText(builder, config), vision: layOutVision(builder, config) };
  builder.requireAllUsed();
  return { ...layout, buffers: builder.buffers, placements: builder.placements };
}

function layOutText(builder: LayoutBuilder, { text }: ModelConfig): TextWeights {
  const { C, H, KV, D, F, V, L } = text;
  return {
    embedding: builder.matrix('embedding', [{ name: EMBEDDING, rows: V }], C),
    layers: Array.from({ length: L }, (_, layer): TextLayerWeights => {
      const name = textLayerName(layer);
      const group = `layer.${layer}`;
      const attention = `${name}.self_attn`;
      const heads = [
        { name: `${attention}.q_proj`, rows: H * D },
        { name: `${attention}.k_proj`, rows: KV * D },
        { name: `${attention}.v_proj`, rows: KV * D },
      ];
      return {
        inputNorm: builder.vector(group, [{ name: `${name}.input_layernorm.weight`, rows: C }]),
        qkv: builder.matrix(group, heads, C, 'qkv'),
        qkvBias: builder.vector(
          group,
          heads.map((head) => ({ name: `${head.name}.bias`, rows: head.rows })),
        ),
        o: builder.matrix(group, [{ name: `${attention}.o_proj`, rows: C }], H * D),
        postAttentionNorm: builder.vector(group, [
          { name: `${name}.post_self_attn_layernorm.weight`, rows: C },
        ]),
        preMlpNorm: builder.vector(group, [{ name: `${name}.post_attention_layernorm.weight`, rows: C }]),
        gateUp: builder.matrix(group, [{ name: `${name}.mlp.gate_up_proj`, rows: 2 * F }], C),
        down: builder.matrix(group, [{ name: `${name}.mlp.down_proj`, rows: C }], F),
        postMlpNorm: builder.vector(group, [{ name: `${name}.post_mlp_layernorm.weight`, rows: C }]),
      };
    }),
    finalNorm: builder.vector('head', [{ name: `${FINAL_NORM}.weight`, rows: C }]),
    head: builder.matrix('head', [{ name: HEAD, rows: V }], C),
  };
}

function layOutVision(builder: LayoutBuilder, { vision }: ModelConfig): VisionWeights {
  const { C, L, F, outC, mergerF, patchSize, temporalPatchSize, inChannels, positionSide, spatialMergeSize } =
    vision;
  const vector = (name: string, rows: number, group = 'vision'): BufferRef =>
    builder.vector(group, [{ name: `${VISION}.${name}`, rows }]);
  const matrix = (name: string, rows: number, K: number): WeightMatrix =>
    builder.matrix('vision', [{ name: `${VISION}.${name}`, rows }], K);
  const merger = `${VISION}.merger`;
  return {
    patchEmbed: matrix('patch_embed.proj', C, inChannels * temporalPatchSize * patchSize ** 2),
    patchEmbedBias: vector('patch_embed.proj.bias', C),
    postConvNorm: vector('post_conv_layernorm.weight', C),
    positions: vector('embeddings.position_embedding.weight', positionSide ** 2 * C),
    blocks: Array.from({ length: L }, (_, block): VisionBlockWeights => {
      const name = visionBlockName(block);
      const group = `vision.${block}`;
      const mlp = ['gate_proj', 'up_proj'].map((part) => ({ name: `${name}.mlp.${part}`, rows: F }));
      return {
        norm1: builder.vector(group, [{ name: `${name}.norm1.weight`, rows: C }]),
        qkv: builder.matrix(group, [{ name: `${name}.attn.qkv`, rows: 3 * C }], C),
        proj: builder.matrix(group, [{ name: `${name}.attn.proj`, rows: C }], C),
        norm2: builder.vector(group, [{ name: `${name}.norm2.weight`, rows: C }]),
        gateUp: builder.matrix(group, mlp, C, 'gate_up'),
        down: builder.matrix(group, [{ name: `${name}.mlp.down_proj`, rows: C }], F),
      };
    }),
    postNorm: vector('post_layernorm.weight', C),
    downsample: matrix('downsample', outC, C * spatialMergeSize ** 2),
    downsampleBias: vector('downsample.bias', outC),
    mergerProj: matrix('merger.proj', outC, outC),
    mergerNorm: vector('merger.post_projection_norm.weight', outC),
    mergerNormBias: vector('merger.post_projection_norm.bias', outC),
    mergerGateUp: builder.matrix(
      'vision',
      ['gate_proj', 'up_proj'].map((part) => ({ name: `${merger}.${part}`, rows: mergerF })),
      outC,
      'gate_up',
    ),
    mergerDown: matrix('merger.down_proj', outC, mergerF),
  };
}

/** A stored tensor that gives consecutive rows of a joined matrix. */
interface RowSource {
  /** Name without `.weight` for matrices, whole for vectors. */
  readonly name: string;
  readonly rows: number;
}

/** Bytes of one row in each of a format's stored tensors. */
const ROW_BYTES: Readonly<
  Record<WeightFormat, { weight: (K: number) => number; scale: (K: number) => number }>
> = {
  f32: { weight: (K) => K * 4, scale: () => 0 },
  f16: { weight: (K) => K * 2, scale: () => 0 },
  q8: { weight: (K) => K, scale: (K) => K / 16 },
  q4: { weight: (K) => K / 2, scale: (K) => K / 16 },
};

class LayoutBuilder {
  readonly buffers = new Map<string, number>();
  readonly placements = new Map<string, Placement[]>();
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #limits: LayoutLimits;
  readonly #arenas = new Map<string, string>();

  constructor(tensors: ReadonlyMap<string, StoredTensor>, limits: LayoutLimits) {
    this.#tensors = tensors;
    this.#limits = limits;
  }

  /** Joins vectors, one after the other, as f32. */
  vector(group: string, sources: readonly RowSource[]): BufferRef {
    const length = sources.reduce((total, { rows }) => total + rows, 0);
    const ref = this.#place(group, length * 4);
    let offset = ref.byteOffset;
    for (const { name, rows } of sources) {
      const tensor = this.#require(name);
      const isWidened = tensor.dtype === 'float16';
      if (tensor.dtype === 'uint32') throw wrongDtype(tensor, 'float16 or float32');
      if (product(tensor.shape) !== rows) throw wrongShape(tensor, [rows]);
      this.#record(name, {
        tensorOffset: 0,
        byteLength: rows * (isWidened ? 2 : 4),
        buffer: ref.buffer,
        bufferOffset: offset,
        isWidened,
      });
      offset += rows * 4;
    }
    return ref;
  }

  /** Joins matrices by rows; all have the format of the first. */
  matrix(group: string, sources: readonly RowSource[], K: number, joinedName?: string): WeightMatrix {
    const N = sources.reduce((total, { rows }) => total + rows, 0);
    const format = this.#formatOf(sources[0], K);
    for (const source of sources) this.#checkMatrix(source, K, format);
    const rowsAPart = this.#rowsAPart(ROW_BYTES[format].weight(K));
    const parts: WeightPart[] = [];
    for (let firstRow = 0; firstRow < N; firstRow += rowsAPart) {
      parts.push(
        this.#part(group, sources, { firstRow, rowCount: Math.min(rowsAPart, N - firstRow), K, format }),
      );
    }
    const name = joinedName ? `${group}.${joinedName}` : sources[0].name;
    return { name, N, K, format, parts };
  }

  requireAllUsed(): void {
    const unknown = [...this.#tensors.keys()].find((name) => !this.placements.has(name));
    if (unknown === undefined) return;
    throw new AutoglmError(
      'tensor-unknown',
      `The model folder holds a tensor that config.json does not ask for: "${unknown}".`,
      {
        value: unknown,
        cure: 'Check that config.json and the weights belong together.',
      },
    );
  }

  #part(
    group: string,
    sources: readonly RowSource[],
    {
      firstRow,
      rowCount,
      K,
      format,
    }: { firstRow: number; rowCount: number; K: number; format: WeightFormat },
  ): WeightPart {
    const bytes = ROW_BYTES[format];
    const range = { firstRow, rowCount };
    const isQuantized = format === 'q4' || format === 'q8';
    const weight = this.#place(group, rowCount * bytes.weight(K));
    this.#placeRows(sources, isQuantized ? '.q_weight' : '.weight', weight, bytes.weight(K), range);
    if (!isQuantized) return { ...range, weight };
    const scale = this.#place(group, rowCount * bytes.scale(K));
    this.#placeRows(sources, '.q_scale', scale, bytes.scale(K), range);
    return { ...range, weight, scale };
  }

  /** Records where the rows [firstRow, firstRow + rowCount) of the joined matrix come from. */
  #placeRows(
    sources: readonly RowSource[],
    suffix: string,
    target: Required<BufferRef>,
    rowBytes: number,
    { firstRow, rowCount }: { firstRow: number; rowCount: number },
  ): void {
    let sourceRow = 0;
    for (const { name, rows } of sources) {
      const from = Math.max(firstRow, sourceRow);
      const to = Math.min(firstRow + rowCount, sourceRow + rows);
      if (from < to) {
        this.#record(`${name}${suffix}`, {
          tensorOffset: (from - sourceRow) * rowBytes,
          byteLength: (to - from) * rowBytes,
          buffer: target.buffer,
          bufferOffset: target.byteOffset + (from - firstRow) * rowBytes,
          isWidened: false,
        });
      }
      sourceRow += rows;
    }
  }

  #rowsAPart(rowBytes: number): number {
    const limit = Math.min(this.#limits.maxBindingBytes, this.#limits.maxBufferBytes, MAX_ARENA_BYTES);
    // Scales then start at a whole word, and no four outputs that a kernel stores together are parted.
    const rows = Math.floor(limit / rowBytes / 4) * 4;
    if (rows > 0) return rows;
    throw new AutoglmError(
      'limit-exceeded',
      `Four rows of a weight need ${rowBytes * 4} bytes and a binding holds ${limit}.`,
      {
        value: rowBytes * 4,
        limit,
        cure: 'Use a device with larger buffers.',
      },
    );
  }

  #place(group: string, byteLength: number): Required<BufferRef> {
    const { bindingAlignment, maxBufferBytes } = this.#limits;
    const padded = roundUp(byteLength, bindingAlignment);
    let buffer = this.#arenas.get(group) ?? `weights.${group}`;
    const used = this.buffers.get(buffer) ?? 0;
    if (used > 0 && used + padded > Math.min(maxBufferBytes, MAX_ARENA_BYTES)) {
      buffer = `weights.${group}+${this.buffers.size}`;
    }
    this.#arenas.set(group, buffer);
    const byteOffset = this.buffers.get(buffer) ?? 0;
    this.buffers.set(buffer, byteOffset + padded);
    return { buffer, byteOffset, byteLength: roundUp(byteLength, 16) };
  }

  #formatOf({ name }: RowSource, K: number): WeightFormat {
    const packed = this.#tensors.get(`${name}.q_weight`);
    if (packed) return packed.shape[1] * 8 === K ? 'q4' : 'q8';
    return this.#require(`${name}.weight`).dtype === 'float16' ? 'f16' : 'f32';
  }

  #checkMatrix({ name, rows }: RowSource, K: number, format: WeightFormat): void {
    if (format === 'q4' || format === 'q8') {
      this.#check(`${name}.q_weight`, 'uint32', [rows, format === 'q4' ? K / 8 : K / 4]);
      this.#check(`${name}.q_scale`, 'float16', [rows, K / 32]);
      return;
    }
    const tensor = this.#check(`${name}.weight`, format === 'f16' ? 'float16' : 'float32');
    // Convolutions are stored with their kernel's dimensions apart; row-major order makes them one K.
    if (tensor.shape[0] !== rows || product(tensor.shape) !== rows * K) throw wrongShape(tensor, [rows, K]);
  }

  #check(name: string, dtype: StoredTensor['dtype'], shape?: readonly number[]): StoredTensor {
    const tensor = this.#require(name);
    if (tensor.dtype !== dtype) throw wrongDtype(tensor, dtype);
    if (shape && tensor.shape.join() !== shape.join()) throw wrongShape(tensor, shape);
    return tensor;
  }

  #require(name: string): StoredTensor {
    const tensor = this.#tensors.get(name);
    if (tensor) return tensor;
    throw new AutoglmError('tensor-missing', `The model folder has no tensor "${name}".`, {
      value: name,
      cure: 'Convert the checkpoint again; it may have been cut short.',
    });
  }

  #record(name: string, placement: Placement): void {
    const list = this.placements.get(name);
    if (list) list.push(placement);
    else this.placements.set(name, [placement]);
  }
}

function wrongShape(tensor: StoredTensor, expected: readonly number[]): AutoglmError {
  return new AutoglmError(
    'tensor-shape',
    `Tensor "${tensor.name}" has shape [${tensor.shape}], and config.json asks for [${expected}].`,
    { value: tensor.shape, limit: expected, cure: 'Check that config.json and the weights belong together.' },
  );
}

function wrongDtype(tensor: StoredTensor, expected: string): AutoglmError {
  return new AutoglmError(
    'tensor-dtype',
    `Tensor "${tensor.name}" is ${tensor.dtype}, expected ${expected}.`,
    {
      value: tensor.dtype,
      limit: expected,
      cure: 'Convert the checkpoint again with "autoglm convert".',
    },
  );
}
