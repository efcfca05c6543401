import { AutoglmError } from '../base/errors.ts';
import { copyRgb, RGBA_CHANNELS, toTiles } from './pixel-region.ts';
import type { PixelRegion } from './pixel-region.ts';
import { RGB_CHANNELS } from './rgb-image.ts';

/**
 * Reads a bitmap's colours exactly as they were stored, those under transparent pixels included.
 *
 * Of what a browser offers only a WebGL texture gives them back: canvas, `ImageDecoder` and `VideoFrame`
 * multiply by alpha (Chromium 156, differences up to 58 levels).
 *
 * @param bitmap Made with `premultiplyAlpha: 'none'`.
 * @returns `[height, width, 3]`.
 * @throws AutoglmError `image-undecodable` without WebGL 2 or when its context is lost.
 */
export function readTransparentPixels(bitmap: ImageBitmap): Uint8Array<ArrayBuffer> {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (gl === null) throw unreadable('this browser has no WebGL 2 to read its transparent pixels with');
  const data = new Uint8Array(width * height * RGB_CHANNELS);
  try {
    attachTexture(gl);
    for (const tile of toTiles(width, height)) copyRgb(readTile(gl, bitmap, tile), tile, data, width);
    if (gl.getError() !== gl.NO_ERROR) throw unreadable('WebGL failed while reading its transparent pixels');
  } finally {
    // Contexts are few a page; waiting for garbage collection would take another canvas's away.
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
  return data;
}

/** Binds a texture and makes it the source of `readPixels`. */
function attachTexture(gl: WebGL2RenderingContext): void {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
}

function readTile(gl: WebGL2RenderingContext, bitmap: ImageBitmap, tile: PixelRegion): Uint8Array {
  const { x, y, width, height } = tile;
  gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, x);
  gl.pixelStorei(gl.UNPACK_SKIP_ROWS, y);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  const samples = new Uint8Array(width * height * RGBA_CHANNELS);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, samples);
  return samples;
}

function unreadable(reason: string): AutoglmError {
  return new AutoglmError('image-undecodable', `Cannot decode the image: ${reason}.`, {
    cure: 'Save the picture without transparency and attach it again.',
  });
}
