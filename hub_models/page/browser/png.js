// Read the greys of a PNG file. A browser's own decoder gives 8 bits a pixel, and these pictures may have 16.

const SIGNATURE_BYTES = 8;
const UP = 2; // the one filter that the page writes: a row is its difference from the row above

/**
 * Fetch a PNG file that the page wrote (hub_models/reports/png.py): one channel, 8 or 16 bits.
 * @returns {Promise<{width: number, height: number, bits: 8 | 16, greys: Uint8Array | Uint16Array}>} row by row
 * @throws {Error} if the file is gone, or is another kind of PNG
 */
export async function readGreys(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const { header, data } = chunksOf(await answer.arrayBuffer());
  const [width, height, bits] = [header.getUint32(0), header.getUint32(4), header.getUint8(8)];
  if (header.getUint8(9) !== 0 || (bits !== 8 && bits !== 16)) throw new Error("not a grey picture");
  const bytes = await inflated(data);
  return { width, height, bits, greys: bits === 8 ? greys8(bytes, width, height) : greys16(bytes, width, height) };
}

function chunksOf(buffer) {
  const view = new DataView(buffer);
  const data = [];
  let header = null;
  for (let at = SIGNATURE_BYTES; at < buffer.byteLength; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...new Uint8Array(buffer, at + 4, 4));
    if (kind === "IHDR") header = new DataView(buffer, at + 8, length);
    if (kind === "IDAT") data.push(new Uint8Array(buffer, at + 8, length));
    at += 12 + length;
  }
  return { header, data };
}

async function inflated(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function rowAt(bytes, y, length) {
  const start = y * (length + 1);
  if (bytes[start] !== UP) throw new Error("a filter that is not written here");
  return bytes.subarray(start + 1, start + 1 + length);
}

function greys8(bytes, width, height) {
  const greys = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = rowAt(bytes, y, width);
    const here = y * width;
    const above = here - width;
    for (let x = 0; x < width; x++) greys[here + x] = row[x] + (y ? greys[above + x] : 0);
  }
  return greys;
}

function greys16(bytes, width, height) {
  const greys = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = rowAt(bytes, y, 2 * width);
    const here = y * width;
    const above = here - width;
    for (let x = 0; x < width; x++) {
      const before = y ? greys[above + x] : 0; // each byte of a pixel is a difference by itself
      const high = (row[2 * x] + (before >> 8)) & 255;
      greys[here + x] = (high << 8) | ((row[2 * x + 1] + before) & 255);
    }
  }
  return greys;
}
