/** Share of the pixels that OpenAI's `detail: "low"` keeps. */
const LOW_DETAIL_SHARE = 0.25;

/**
 * The greatest area of a picture for OpenAI's `detail`; undefined leaves it to the model's own limit.
 *
 * @param asked the request's own limit; wins over the model's.
 * @param most the model's limit.
 */
export function toMaxPixels(
  detail: string | undefined,
  asked: number | undefined,
  most: number | undefined,
): number | undefined {
  if (detail !== 'low') return asked;
  const limit = asked ?? most;
  return limit === undefined ? undefined : Math.floor(limit * LOW_DETAIL_SHARE);
}
