/**
 * The header of a file in a tar archive (POSIX.1-2024, pax, "ustar Interchange Format"), preceded by an extended header where the
 * name or the size does not fit. Times and owners are zero: the same image makes the same archive. After the content come
 * `tarPadding` zeros.
 *
 * @param name of ASCII.
 * @param size bytes.
 */
export function tarHeader(name: string, size: number): Buffer {
  const records = [
    ...(name.length > longestName ? [paxRecord('path', name)] : []),
    ...(size > largestSize ? [paxRecord('size', String(size))] : []),
  ].join('')
  const own = block(name.slice(-longestName), { size: Math.min(size, largestSize), type: '0' })
  if (records === '') return own
  const extended = Buffer.from(records)
  const padding = Buffer.alloc(tarPadding(extended.length))
  return Buffer.concat([block('././@PaxHeader', { size: extended.length, type: 'x' }), extended, padding, own])
}

/** How many zeros follow content of so many bytes. */
export function tarPadding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize
}

/** The two blocks of zeros at the end of an archive. */
export const tarEnd = Buffer.alloc(1024)

const blockSize = 512
const longestName = 100
/** Eleven octal digits. */
const largestSize = 8 ** 11 - 1

function block(name: string, { size, type }: { size: number; type: '0' | 'x' }): Buffer {
  const bytes = Buffer.alloc(blockSize)
  bytes.write(name, 0)
  bytes.write('0000644\0', 100)
  bytes.write('0000000\0', 108)
  bytes.write('0000000\0', 116)
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  bytes.write('00000000000\0', 136)
  // The checksum is that of a header with blanks in its place.
  bytes.write('        ', 148)
  bytes.write(type, 156)
  bytes.write('ustar\x0000', 257)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length > length) length += 1
  return `${length}${rest}`
}
