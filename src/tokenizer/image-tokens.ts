import { AutoglmError } from '../base/errors.ts';

/**
 * Ids with the image token of each image repeated, once for each of its visual features.
 *
 * @param ids - a conversation with one image token an image
 * @param imageTokenId - `image_token_id` of config.json
 * @param tokenCounts - for each image in order: merged rows * merged columns, `gh/2 * gw/2`
 * @throws AutoglmError `message-invalid` when there are more or fewer image tokens than images.
 */
export function expandImageTokens(
  ids: readonly number[],
  imageTokenId: number,
  tokenCounts: readonly number[],
): number[] {
  const found = ids.filter((id) => id === imageTokenId).length;
  if (found !== tokenCounts.length) {
    throw new AutoglmError(
      'message-invalid',
      `The prompt has ${found} image tokens for ${tokenCounts.length} images.`,
      {
        value: found,
        limit: tokenCounts.length,
        cure: 'Send one image for each image part, and a chat template that renders images.',
      },
    );
  }
  let image = 0;
  return ids.flatMap((id) =>
    id === imageTokenId ? Array.from({ length: tokenCounts[image++]! }, () => imageTokenId) : [id],
  );
}
