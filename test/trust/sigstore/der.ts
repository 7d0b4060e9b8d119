/** Writes DER, as far as certificates need it (X.690). */
export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

export const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts)
export const octets = (content: Buffer): Buffer => der(0x04, content)
export const boolean = (value: boolean): Buffer => der(0x01, Buffer.of(value ? 0xff : 0))
export const integer = (value: number): Buffer => der(0x02, Buffer.of(value))
export const bits = (content: Buffer, unused = 0): Buffer => der(0x03, Buffer.of(unused), content)
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text))
export const time = (date: Date): Buffer => {
  return der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`))
}

export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const digits = [value & 0x7f]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest & 0x7f) | 0x80)
  return digits
}
