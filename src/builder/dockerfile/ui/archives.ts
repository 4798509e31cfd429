/** Whether bytes are an archive: that decides if what a URL gives is a context or a Dockerfile. */

const COMPRESSED: readonly (readonly number[])[] = [
  [0x42, 0x5a, 0x68], // bzip2
  [0x1f, 0x8b, 0x08], // gzip
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], // xz
];
const BLOCK = 512;

/** @param head the first bytes, at least 512 if there are as many */
export function looksLikeArchive(head: Uint8Array): boolean {
  return COMPRESSED.some((magic) => magic.every((byte, index) => head[index] === byte)) || isTar(head);
}

/** A header of tar holds the sum of its own bytes, its checksum field counted as spaces. */
function isTar(head: Uint8Array): boolean {
  if (head.length < BLOCK) return false;
  const field = new TextDecoder("latin1").decode(head.subarray(148, 156));
  const written = /^\s*([0-7]+)[\s\0]*$/.exec(field)?.[1];
  if (written === undefined) return false;
  let sum = 0;
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 0x20 : (head[index] ?? 0);
  return sum === Number.parseInt(written, 8);
}
