import { AutoglmError } from '../base/errors.ts';

/** Most stop strings in a request. OpenAI allows 4; more does no harm here. */
export const MAX_STOP_STRINGS = 16;

/**
 * Checks the `stop` field of a request.
 *
 * @throws AutoglmError `request-invalid` for anything but a non-empty string or a list of up to 16 of them.
 */
export function parseStop(stop: unknown): readonly string[] {
  if (stop === undefined || stop === null) return [];
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  const areStrings = stops.every((one): one is string => typeof one === 'string' && one !== '');
  if (areStrings && stops.length <= MAX_STOP_STRINGS) return stops;
  const limit = `a non-empty string or up to ${MAX_STOP_STRINGS} of them`;
  throw new AutoglmError(
    'request-invalid',
    `Cannot stop at "stop" = ${JSON.stringify(stop)}: it must be ${limit}.`,
    { value: stop, limit, cure: 'Correct "stop", or leave it out.' },
  );
}
