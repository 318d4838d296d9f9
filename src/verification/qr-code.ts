// A QR code as SVG and as PNG. The modules are computed once for both, since that is what takes time on the thread that answers
// everybody; the pictures are written here, so that no drawing library is needed. Pure. They hold the secret of the URI.

import { crc32, deflateSync } from "node:zlib";
import { encodeQR } from "qr";

export interface QrPictures {
  svg: string;
  /** A `data:image/png;base64,…` URL. */
  pngUrl: string;
}

// ISO 18004 asks for a quiet zone of four modules; level M still reads with a scratched or glossy screen.
const options = { border: 4, ecc: "medium" } as const;

// Sharp on a screen of any density, and no more than a few kilobytes.
const pixelsPerModule = 4;

/** `text` may have 2,331 bytes in UTF-8; throws for more. */
export function qrPicturesOf(text: string): QrPictures {
  // True is a dark module. The quiet zone is part of it.
  const rows = encodeQR(text, "raw", options);
  return { svg: svgOf(rows), pngUrl: `data:image/png;base64,${pngOf(rows).toString("base64")}` };
}

function svgOf(rows: readonly boolean[][]): string {
  const size = rows.length;
  const dark = rows.flatMap((row, y) =>
    runsOf(row).map(([x, length]) => `M${x} ${y}h${length}v1h-${length}z`),
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges">` +
    `<path fill="#fff" d="M0 0h${size}v${size}H0z"/><path fill="#000" d="${dark.join("")}"/></svg>\n`
  );
}

/** Where dark modules stand side by side: the first one's place, and how many. */
function runsOf(row: readonly boolean[]): [x: number, length: number][] {
  const runs: [number, number][] = [];
  for (let x = 0; x < row.length; x++) {
    if (!row[x]) continue;
    const last = runs.at(-1);
    if (last && last[0] + last[1] === x) last[1]++;
    else runs.push([x, 1]);
  }
  return runs;
}

/** One bit a pixel, in shades of gray: 0 is black (PNG, third edition, 11.2.1). */
function pngOf(rows: readonly boolean[][]): Buffer {
  const size = rows.length * pixelsPerModule;
  const lines = rows.flatMap((row) => Array(pixelsPerModule).fill(lineOf(row)));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header[8] = 1; // bits a pixel; the other bytes are 0: gray, deflate, adaptive filters, not interlaced
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(lines))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function lineOf(row: readonly boolean[]): Buffer {
  // The first byte says that the line is not filtered.
  const line = Buffer.alloc(1 + Math.ceil((row.length * pixelsPerModule) / 8));
  for (let pixel = 0; pixel < row.length * pixelsPerModule; pixel++) {
    if (row[Math.floor(pixel / pixelsPerModule)]) continue;
    const at = 1 + (pixel >> 3);
    line[at] = (line[at] ?? 0) | (0x80 >> (pixel & 7));
  }
  return line;
}

function chunk(type: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}
