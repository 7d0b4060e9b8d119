/** Tells by its first bytes how a file is compressed. */
export function compressionOf(first: Buffer): 'gzip' | 'zstd' | undefined {
  if (first[0] === 0x1f && first[1] === 0x8b) return 'gzip'
  return first.length >= 4 && first.readUInt32LE() === 0xfd2fb528 ? 'zstd' : undefined
}
