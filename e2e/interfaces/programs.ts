/**
 * Programs of the kind that web-llm's examples show. They know web-llm's interface only: `web-llm` is its own package
 * for one type check and `autoglm-web/web-llm` for the other and at run time, and the model's id is the caller's.
 */
import * as webllm from 'web-llm';

/** What a program needs: an engine that others have loaded, and the id of its model. */
export interface Given {
  readonly engine: webllm.MLCEngineInterface;
  readonly modelId: string;
}

const OPEN_SETTINGS: webllm.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Open the settings.' }];

export const programs = {
  async getStarted(modelId: string) {
    const reports: webllm.InitProgressReport[] = [];
    const engine = await webllm.CreateMLCEngine(modelId, {
      initProgressCallback: (report) => reports.push(report),
      logLevel: 'INFO',
    });
    const reply = await engine.chat.completions.create({
      messages: [{ role: 'system', content: 'You are a phone agent.' }, ...OPEN_SETTINGS],
      n: 2,
      temperature: 1.5,
      max_tokens: 6,
      logprobs: true,
      top_logprobs: 2,
    });
    const stats = await engine.runtimeStatsText();
    await engine.unload();
    return {
      choices: reply.choices.length,
      ranked: reply.choices[0]?.logprobs?.content?.[0]?.top_logprobs.length,
      tokens: reply.usage?.completion_tokens,
      lastProgress: reports.at(-1)?.progress,
      stats,
    };
  },

  async streaming({ engine }: Given) {
    const chunks = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      temperature: 0,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    let message = '';
    let usage: webllm.CompletionUsage | undefined;
    for await (const chunk of chunks) {
      message += chunk.choices[0]?.delta.content ?? '';
      if (chunk.usage) usage = chunk.usage;
    }
    return { message, whole: await engine.getMessage(), speed: usage?.extra.decode_tokens_per_s };
  },

  async jsonMode({ engine }: Given) {
    const reply = await engine.chatCompletion({
      messages: [{ role: 'user', content: 'Write a JSON object.' }],
      max_tokens: 90,
      temperature: 0,
      // Ends a small model's object soon.
      logit_bias: {},
      response_format: { type: 'json_object' },
    });
    return { text: reply.choices[0]?.message.content, finish: reply.choices[0]?.finish_reason };
  },

  async jsonSchema({ engine }: Given) {
    const schema = JSON.stringify({
      type: 'object',
      properties: { size: { enum: ['s', 'm'] }, is_on: { type: 'boolean' } },
      required: ['size', 'is_on'],
    });
    const reply = await engine.chat.completions.create({
      messages: [{ role: 'user', content: 'Describe the lamp.' }],
      max_tokens: 60,
      response_format: { type: 'json_object', schema },
    });
    return JSON.parse(reply.choices[0]?.message.content ?? '') as unknown;
  },

  async grammar({ engine }: Given) {
    const reply = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      max_tokens: 20,
      response_format: { type: 'grammar', grammar: 'root ::= "yes" | "no"' },
    });
    return reply.choices[0]?.message.content;
  },

  async seedToReproduce({ engine }: Given) {
    const request = { messages: OPEN_SETTINGS, temperature: 2, max_tokens: 6, n: 2 };
    const first = await engine.chat.completions.create({ ...request, seed: 42 });
    const again = await engine.chat.completions.create({ ...request, seed: 42 });
    const other = await engine.chat.completions.create({ ...request, seed: 7 });
    const texts = (reply: webllm.ChatCompletion) => reply.choices.map(({ message }) => message.content);
    return { first: texts(first), again: texts(again), other: texts(other) };
  },

  async multiRound({ engine }: Given) {
    const messages: webllm.ChatCompletionMessageParam[] = [
      {
        role: 'system',
        content: 'You are a helpful assistant that speaks as happily as it can, and says little.',
      },
      { role: 'user', content: 'Hello.' },
    ];
    const first = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 4 });
    messages.push(first.choices[0]!.message, { role: 'user', content: 'And now?' });
    const second = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 4 });
    return {
      first: first.usage?.prompt_tokens,
      second: second.usage?.prompt_tokens,
      content: second.choices[0]?.message.content,
    };
  },

  async abort({ engine }: Given) {
    const chunks = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      ignore_eos: true,
      stream: true,
      max_tokens: 100,
    });
    let finish: string | null = null;
    let count = 0;
    for await (const chunk of chunks) {
      finish = chunk.choices[0]?.finish_reason ?? finish;
      if (++count === 4) engine.interruptGenerate();
    }
    return { finish, count };
  },

  async reloadInBetween(modelId: string) {
    const engine = new webllm.MLCEngine();
    const first = engine.reload(modelId).then(() => 'ended', String);
    const second = engine.reload(modelId);
    const outcome = await first;
    await second;
    const reply = await engine.chat.completions.create({ messages: OPEN_SETTINGS, max_tokens: 2 });
    await engine.unload();
    const after = await engine.chat.completions
      .create({ messages: OPEN_SETTINGS })
      .catch((error: unknown) => String(error));
    return { first: outcome, tokens: reply.usage?.completion_tokens, after };
  },

  async vision({ engine }: Given) {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 112;
    const reply = await engine.chat.completions.create({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: canvas.toDataURL() } },
            { type: 'text', text: 'What is on the screen?' },
          ],
        },
      ],
      max_tokens: 2,
    });
    return { prompt: reply.usage?.prompt_tokens, tokens: reply.usage?.completion_tokens };
  },

  async functionCalling({ engine }: Given) {
    const tools: webllm.ChatCompletionTool[] = [
      {
        type: 'function',
        function: {
          name: 'f',
          description: 'Weather of a city.',
          parameters: { type: 'object', properties: { a: { enum: ['x', 'y'] } }, required: ['a'] },
        },
      },
    ];
    const request: webllm.ChatCompletionRequest = {
      messages: [{ role: 'user', content: 'Weather?' }],
      tools,
      tool_choice: { type: 'function', function: { name: 'f' } },
      max_tokens: 80,
      stream: true,
    };
    let name = '';
    let text = '';
    for await (const chunk of (await engine.chatCompletion(
      request,
    )) as AsyncIterable<webllm.ChatCompletionChunk>) {
      for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
        name += call.function?.name ?? '';
        text += call.function?.arguments ?? '';
      }
    }
    return { name, arguments: JSON.parse(text) as unknown };
  },

  async textCompletion({ engine }: Given) {
    const reply = await engine.completions.create({
      prompt: 'The phone',
      max_tokens: 3,
      temperature: 0,
      echo: true,
    });
    return reply.choices[0]?.text;
  },

  async webWorker(modelId: string, worker: Worker) {
    const engine = await webllm.CreateWebWorkerMLCEngine(worker, modelId, { initProgressCallback: () => {} });
    const chunks = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      max_tokens: 4,
      temperature: 0,
      stream: true,
    });
    let message = '';
    for await (const chunk of chunks) message += chunk.choices[0]?.delta.content ?? '';
    const whole = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      max_tokens: 4,
      temperature: 0,
    });
    await engine.unload();
    return { message, whole: whole.choices[0]?.message.content };
  },

  async serviceWorker(modelId: string) {
    const engine = await webllm.CreateServiceWorkerMLCEngine(modelId, { initProgressCallback: () => {} });
    const reply = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      max_tokens: 3,
      temperature: 0,
    });
    await engine.unload();
    return reply.usage?.completion_tokens;
  },

  async cache(modelId: string) {
    const before = await webllm.hasModelInCache(modelId);
    await webllm.deleteModelAllInfoInCache(modelId);
    return { before, after: await webllm.hasModelInCache(modelId) };
  },

  /** As web-llm's example: a stateful processor, on its own and under a chat. */
  async logitProcessor(modelId: string) {
    const chosen: number[] = [];
    let resets = 0;
    const processor: webllm.LogitProcessor = {
      processLogits: (logits) => logits.fill(-100).fill(100, 5 + chosen.length, 6 + chosen.length),
      processSampledToken: (token) => void chosen.push(token),
      resetState: () => {
        resets++;
        chosen.length = 0;
      },
    };
    const registry = new Map([[modelId, processor]]);
    const engine = await webllm.CreateMLCEngine(modelId, { logitProcessorRegistry: registry });
    const first = await engine.forwardTokensAndSample([1, 2], true);
    const second = await engine.forwardTokensAndSample([first], false);
    await engine.resetChat();
    const reply = await engine.chat.completions.create({
      messages: OPEN_SETTINGS,
      max_tokens: 3,
      temperature: 1,
      ignore_eos: true,
    });
    await engine.unload();
    return { first, second, resets, chosen: [...chosen], tokens: reply.usage?.completion_tokens };
  },

  async modelOfWebLlm(modelId: string) {
    return webllm.CreateMLCEngine(modelId).then(
      () => 'loaded',
      (error: unknown) => String(error),
    );
  },
};
