/** Bytes for people, in powers of 1000 with three digits, as container engines print them: `0B`, `1.5kB`, `123MB`. */
export function formatSize(bytes: number): string {
  let value = bytes
  let unit = 0
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000
  return `${Number(value.toPrecision(3))}${units[unit]}`
}

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
