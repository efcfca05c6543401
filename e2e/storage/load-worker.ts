import { loadModel, type LoadRequest } from './load-model.ts';

addEventListener('message', async ({ data }: MessageEvent<LoadRequest>) => {
  const result = await loadModel(data, (progress) => postMessage({ progress }));
  postMessage({ result });
});
