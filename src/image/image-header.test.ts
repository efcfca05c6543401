import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { DEFAULT_MAX_DECODED_PIXELS, inspectImage } from './decode-image.ts';
import { describeBytes } from './describe-bytes.ts';
import { readImageHeader } from './image-header.ts';
import {
  createLosslessSamples,
  createOrientedSamples,
  createOtherSamples,
  SAMPLE_HEIGHT,
  SAMPLE_WIDTH,
} from './image-samples.test-support.ts';

const SAMPLES = [
  ...(await createLosslessSamples()),
  ...(await createOtherSamples()),
  ...(await createOrientedSamples()),
];

/** Every offset near both ends, where the structure is, and some between. */
function pickOffsets(bytes: Uint8Array): number[] {
  const edge = 160;
  return Array.from(bytes.keys()).filter(
    (offset) => offset < edge || offset >= bytes.length - edge || offset % 97 === 0,
  );
}

describe('readImageHeader', () => {
  it.each(SAMPLES)('reads format, stored size and alpha of a $name', async ({ name, bytes }) => {
    const { format } = await sharp(bytes).metadata();
    expect(readImageHeader(bytes)).toEqual({
      format,
      width: SAMPLE_WIDTH,
      height: SAMPLE_HEIGHT,
      hasAlpha: name.includes('alpha'),
      isCmyk: name.includes('CMYK'),
    });
  });

  it.each(SAMPLES)('refuses a $name that was cut off anywhere', ({ bytes }) => {
    for (const length of pickOffsets(bytes)) {
      expect(() => readImageHeader(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'image-undecodable' }),
      );
    }
  });

  it.each(SAMPLES)('survives damage to bytes of a $name', ({ bytes }) => {
    for (const index of pickOffsets(bytes)) {
      const damaged = bytes.with(index, bytes[index]! ^ 0xff);
      try {
        expect(readImageHeader(damaged).width).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: 'image-undecodable' });
      }
    }
  });

  it('reads a file that lies inside a larger buffer', () => {
    const { bytes } = SAMPLES[0]!;
    const larger = new Uint8Array(bytes.length + 13);
    larger.set(bytes, 13);
    expect(readImageHeader(larger.subarray(13)).width).toBe(SAMPLE_WIDTH);
  });

  it('ignores what follows the end of the file', () => {
    for (const { bytes } of SAMPLES) {
      const longer = new Uint8Array(bytes.length + 5);
      longer.set(bytes);
      expect(readImageHeader(longer).height).toBe(SAMPLE_HEIGHT);
    }
  });

  it.each([
    ['', 'an empty file', ''],
    [
      '<!doctype html><html>..',
      'text starting with "<!doctype html><html>.."',
      '3c 21 64 6f 63 74 79 70 65 20 68 74',
    ],
    ['GIF89a\x01\x00', 'a GIF file', '47 49 46 38 39 61 01 00'],
    ['%PDF-1.7', 'a PDF file', '25 50 44 46 2d 31 2e 37'],
    ['\0\0\0\x1cftypavif', 'an AVIF file', '00 00 00 1c 66 74 79 70 61 76 69 66'],
    ['\0\0\0\x1cftypheic', 'a HEIC file', '00 00 00 1c 66 74 79 70 68 65 69 63'],
    ['\x01\x02\x03', 'data of an unknown kind', '01 02 03'],
    ['RIFF\x04\0\0\0WAVE', 'data of an unknown kind', '52 49 46 46 04 00 00 00 57 41 56 45'],
  ])('says what %j is', (content, type, firstBytes) => {
    const bytes = Uint8Array.from(content, (character) => character.charCodeAt(0));
    expect(describeBytes(bytes)).toEqual({ type, firstBytes, byteLength: bytes.length });
    expect(() => readImageHeader(bytes)).toThrow(
      expect.objectContaining({
        code: 'image-undecodable',
        value: { type, firstBytes, byteLength: bytes.length },
        cure: expect.stringContaining('PNG, JPEG or WebP') as string,
      }),
    );
  });

  it('refuses a picture without area', () => {
    const bytes = SAMPLES[0]!.bytes.slice();
    bytes.fill(0, 16, 20); // the width in IHDR
    expect(() => readImageHeader(bytes)).toThrow('the PNG file has no area');
  });
});

describe('inspectImage', () => {
  const { bytes } = SAMPLES[0]!;
  const pixels = SAMPLE_WIDTH * SAMPLE_HEIGHT;

  it('accepts as many pixels as allowed', () => {
    expect(inspectImage(bytes, { maxDecodedPixels: pixels }).width).toBe(SAMPLE_WIDTH);
  });

  it('refuses one more, with value, limit and cure', () => {
    expect(() => inspectImage(bytes, { maxDecodedPixels: pixels - 1 })).toThrow(
      expect.objectContaining({
        code: 'image-size',
        value: pixels,
        limit: pixels - 1,
        cure: expect.any(String) as string,
      }),
    );
  });

  it('refuses a small file that claims 65535 x 65535 pixels', () => {
    const bomb = bytes.slice();
    new DataView(bomb.buffer).setUint32(16, 65_535);
    new DataView(bomb.buffer).setUint32(20, 65_535);
    expect(() => inspectImage(bomb)).toThrow(
      expect.objectContaining({ code: 'image-size', limit: DEFAULT_MAX_DECODED_PIXELS }),
    );
  });
});
