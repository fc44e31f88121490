/**
 * A picture file in, its pixels out as `nin predict` sees them: the format is decided by the first bytes, the
 * orientation of EXIF applied, colour profiles not, transparency kept.
 */
import { Refusal, type Picture } from "../net/types";
import { decodeJpeg } from "./jpeg/decode";
import { OtherKind } from "./jpeg/frame";
import { turned } from "./orientation";
import { decodePng, PNG_SIGNATURE, pngSize } from "./png";

const MOST_BYTES = 256e6; // ours: a scan; more is a film or a mistake
const MOST_PIXELS = 25e6; // nin.data.images.LIMITS: 100 MB as RGBA; what has more is decoded at reduced size
const MAGIC: readonly (readonly [string, readonly number[]])[] = [
  ["png", PNG_SIGNATURE],
  ["jpeg", [0xff, 0xd8, 0xff]],
  ["gif", [0x47, 0x49, 0x46, 0x38]],
  ["bmp", [0x42, 0x4d]],
];

type Kind = "png" | "jpeg" | "gif" | "bmp" | "webp" | "avif";

function ascii(head: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...head.subarray(from, to));
}

/** The format by the first bytes; null for what is no picture that browsers read. */
export function kindOf(head: Uint8Array): Kind | null {
  const found = MAGIC.find(([, magic]) => magic.every((byte, at) => head[at] === byte));
  if (found) return found[0] as Kind;
  if (ascii(head, 0, 4) === "RIFF" && ascii(head, 8, 12) === "WEBP") return "webp";
  if (ascii(head, 4, 8) === "ftyp" && ["avif", "avis"].includes(ascii(head, 8, 12))) return "avif";
  return null;
}

/** Pixels of a bitmap by a canvas; exact where nothing is transparent. */
function byCanvas(bitmap: ImageBitmap): Picture {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Refusal("picture-too-large");
  context.drawImage(bitmap, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** Pixels of a bitmap with their colours not multiplied by alpha; null where the browser has no WebGL. */
function byTexture(bitmap: ImageBitmap): Picture | null {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(width, height) > (gl.getParameter(gl.MAX_TEXTURE_SIZE) as number)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const data = new Uint8ClampedArray(4 * width * height);
  const ready = gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
  if (ready) gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  const failed = !ready || gl.getError() !== gl.NO_ERROR;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : { width, height, data };
}

function hasAlpha(picture: Picture): boolean {
  for (let at = 3; at < picture.data.length; at += 4) if (picture.data[at] !== 255) return true;
  return false;
}

const EXACT: ImageBitmapOptions = {
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
  imageOrientation: "from-image",
};

/** What the browser decodes, at most MOST_PIXELS of it. */
async function byBrowser(file: Blob): Promise<Picture> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, EXACT);
  } catch {
    throw new Refusal("picture-damaged");
  }
  try {
    const shrink = Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height));
    if (shrink < 1) {
      const resizeWidth = Math.max(1, Math.floor(bitmap.width * shrink));
      const resizeHeight = Math.max(1, Math.floor(bitmap.height * shrink));
      const small = await createImageBitmap(bitmap, { ...EXACT, resizeWidth, resizeHeight, resizeQuality: "high" });
      bitmap.close();
      bitmap = small;
    }
    const picture = byCanvas(bitmap);
    return hasAlpha(picture) ? (byTexture(bitmap) ?? picture) : picture;
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("picture-too-large");
  } finally {
    bitmap.close();
  }
}

/** What our own decoder makes of a JPEG; null for the rare kinds that it leaves to the browser. */
function ownJpeg(bytes: Uint8Array, near: number): Picture | null {
  try {
    const { picture, orientation } = decodeJpeg(bytes, near);
    return turned(picture, orientation);
  } catch (error) {
    if (error instanceof OtherKind) return null;
    throw error;
  }
}

/** Decodes a picture file for a network that looks at pictures whose longer side is `near`. Throws Refusal. */
export async function decode(file: Blob, near: number): Promise<Picture> {
  if (!file.size) throw new Refusal("picture-empty");
  if (file.size > MOST_BYTES) throw new Refusal("picture-too-large");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = kindOf(bytes);
  if (!kind) throw new Refusal("not-a-picture");
  if (kind === "jpeg") return ownJpeg(bytes, near) ?? byBrowser(file);
  if (kind !== "png") return byBrowser(file);
  const { width, height } = pngSize(bytes);
  if (width * height > MOST_PIXELS) return byBrowser(file);
  const { picture, orientation } = await decodePng(bytes);
  return turned(picture, orientation);
}
