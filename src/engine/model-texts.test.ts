import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { openModel } from '../storage/model-loader.ts';
import { createNodeFolderSource } from '../storage/node-folder-source.ts';
import { EMBEDDED_MODEL, ModelCopy } from './embedded-model.test-support.ts';
import { readModelTexts, type ModelTexts } from './model-texts.ts';

async function read(folder: string): Promise<ModelTexts> {
  return readModelTexts(await openModel(createNodeFolderSource(folder)));
}

describe('readModelTexts', () => {
  let copy: ModelCopy | undefined;
  afterEach(() => copy?.[Symbol.asyncDispose]());

  it('reads all files of the embedded model', async () => {
    const { config, generation, tokenizer, preprocessor } = await read(EMBEDDED_MODEL);
    expect(config.text).toMatchObject({ C: 256, L: 6, V: 2048 });
    expect(generation).toMatchObject({ temperature: 0, eosTokenIds: [2020, 2027, 2029, 2039] });
    expect(preprocessor).toMatchObject({ maxPixels: 313600, patchSize: 14 });
    expect(tokenizer?.decode(tokenizer.encode('do(action="Home")'))).toBe('do(action="Home")');
  });

  it('reads a folder without tokenizer, preprocessor and generation config', async () => {
    copy = await ModelCopy.create();
    await copy.remove(
      'tokenizer.json',
      'tokenizer_config.json',
      'chat_template.jinja',
      'preprocessor_config.json',
      'generation_config.json',
    );
    const { tokenizer, preprocessor, generation } = await read(copy.path);
    expect(tokenizer).toBeUndefined();
    expect(preprocessor).toBeUndefined();
    expect(generation).toEqual(PLAIN_DEFAULTS);
  });

  it('reports a missing config.json', async () => {
    copy = await ModelCopy.create();
    await copy.remove('config.json');
    await expect(read(copy.path)).rejects.toMatchObject({ code: 'file-missing', value: 'config.json' });
  });

  it.each(['config.json', 'generation_config.json', 'preprocessor_config.json'])(
    'reports %s when it was cut short',
    async (name) => {
      copy = await ModelCopy.create();
      const text = await readFile(copy.file(name), 'utf8');
      await writeFile(copy.file(name), text.slice(0, text.length / 2));
      await expect(read(copy.path)).rejects.toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining(name) as string,
        cure: expect.stringMatching(/again/) as string,
      });
    },
  );

  it('reports a tokenizer.json that was cut short', async () => {
    copy = await ModelCopy.create();
    const text = await readFile(copy.file('tokenizer.json'), 'utf8');
    await writeFile(copy.file('tokenizer.json'), text.slice(0, text.length / 2));
    await expect(read(copy.path)).rejects.toMatchObject({ code: 'tokenizer-invalid' });
  });

  it.each([
    ['patch_size', 16, 14],
    ['merge_size', 1, 2],
    ['temporal_patch_size', 1, 2],
  ])('reports images that would be cut for another tower: %s', async (key, value, limit) => {
    copy = await ModelCopy.create();
    await copy.editJson('preprocessor_config.json', (json) => ({ ...json, [key]: value }));
    await expect(read(copy.path)).rejects.toMatchObject({ code: 'config-invalid', value, limit });
  });
});
