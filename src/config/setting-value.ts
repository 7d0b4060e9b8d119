import { parseUpdateWindow, type UpdateWindow } from './update-window.ts'

/**
 * Kinds of values. Each makes a function that takes the text of a value and passes it on parsed, or returns, in words
 * that follow "It must be", what the value must be.
 */
export type SettingReader<Settings> = (value: string, settings: Settings) => string | undefined

/** An absolute path. */
export function path<Settings>(set: (value: string, settings: Settings) => void): SettingReader<Settings> {
  return parsed((text) => (text.startsWith('/') && !text.includes('\0') ? text : undefined), 'an absolute path', set)
}

/** A name that is looked up on the `PATH`, or an absolute path. */
export function program<Settings>(set: (value: string, settings: Settings) => void): SettingReader<Settings> {
  const read = (text: string) => (/^(?:\/.*|[^/]+)$/.test(text) ? text : undefined)
  return parsed(read, "a program's name or its absolute path", set)
}

export function oneOf<Choice extends string, Settings>(
  choices: readonly Choice[],
  set: (value: Choice, settings: Settings) => void,
): SettingReader<Settings> {
  return parsed((text) => choices.find((choice) => choice === text), `one of ${choices.join(', ')}`, set)
}

/** In systemd's spellings. */
export function yesOrNo<Settings>(set: (value: boolean, settings: Settings) => void): SettingReader<Settings> {
  const read = (text: string) => {
    if (/^(?:yes|true|on|1)$/i.test(text)) return true
    return /^(?:no|false|off|0)$/i.test(text) ? false : undefined
  }
  return parsed(read, 'yes or no', set)
}

/** Both ends are allowed. */
export function wholeNumber<Settings>(
  least: number,
  most: number,
  set: (value: number, settings: Settings) => void,
): SettingReader<Settings> {
  const read = (text: string) => {
    const number = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN
    return number >= least && number <= most ? number : undefined
  }
  return parsed(read, `a whole number from ${least} to ${most}`, set)
}

/** Seconds in the file, milliseconds for the setter. */
export function duration<Settings>(set: (value: number, settings: Settings) => void): SettingReader<Settings> {
  const read = (text: string) =>
    /^[0-9]{1,6}(?:\.[0-9]{1,3})?$/.test(text) && Number(text) > 0 ? Number(text) * 1000 : undefined
  return parsed(read, 'a number of seconds', set)
}

/** Days and times of a week; empty for any time. */
export function updateWindow<Settings>(
  set: (value: UpdateWindow | undefined, settings: Settings) => void,
): SettingReader<Settings> {
  const read = (text: string) => {
    const window = text === '' ? undefined : parseUpdateWindow(text)
    return text === '' || window !== undefined ? { window } : undefined
  }
  const wanted = "days and times such as 'Sat..Sun 02:00-05:00', or nothing"
  return parsed(read, wanted, ({ window }, settings: Settings) => set(window, settings))
}

/** A count or a size in bytes; K, M, G and T are powers of 1024. */
export function size<Settings>(set: (value: number, settings: Settings) => void): SettingReader<Settings> {
  return parsed(parseSize, 'a whole number above 0, and may end in K, M, G or T', set)
}

function parseSize(text: string): number | undefined {
  const match = /^([0-9]{1,15})([KMGT]?)$/i.exec(text)
  if (match === null) return undefined
  const number = Number(match[1]) * 1024 ** ' KMGT'.indexOf((match[2] || ' ').toUpperCase())
  return number > 0 && Number.isSafeInteger(number) ? number : undefined
}

function parsed<Value, Settings>(
  read: (text: string) => Value | undefined,
  wanted: string,
  set: (value: Value, settings: Settings) => void,
): SettingReader<Settings> {
  return (text, settings) => {
    const value = read(text)
    if (value === undefined) return wanted
    set(value, settings)
    return undefined
  }
}
