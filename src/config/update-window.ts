/** When updates that nobody asked for may be made, in the host's own time. */
export interface UpdateWindow {
  /** On which it opens; 0 is Sunday. */
  readonly days: ReadonlySet<number>
  /** Minutes since midnight. It closes on the next day where `to` is not after `from`. */
  readonly from: number
  readonly to: number
}

const day = 24 * 60

/**
 * Reads `[DAYS ]HH:MM-HH:MM`, the days as systemd.time(7) has them: `Sat..Sun 02:00-05:00`, `Mon,Wed 23:00-01:00`. Without days
 * it is every day.
 *
 * @returns undefined for other words, and for a time that ends where it begins.
 */
export function parseUpdateWindow(text: string): UpdateWindow | undefined {
  const [, days, ...times] = /^(?:([A-Za-z.,]+)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$/.exec(text.trim()) ?? []
  const [fromHour = 24, fromMinute = 0, toHour = 25, toMinute = 0] = times.map(Number)
  const [from, to] = [fromHour * 60 + fromMinute, toHour * 60 + toMinute]
  const isTime = fromMinute < 60 && toMinute < 60 && from < day && to <= day && from !== to
  const parsed = days === undefined ? [0, 1, 2, 3, 4, 5, 6] : parseDays(days)
  return isTime && parsed !== undefined ? { days: new Set(parsed), from, to } : undefined
}

/** Whether it is open at a time. */
export function isOpen({ days, from, to }: UpdateWindow, at: Date): boolean {
  const minute = at.getHours() * 60 + at.getMinutes()
  const opened = (ago: number): boolean => days.has((at.getDay() + 7 - ago) % 7)
  if (from < to) return opened(0) && minute >= from && minute < to
  return (opened(0) && minute >= from) || (opened(1) && minute < to)
}

function parseDays(words: string): number[] | undefined {
  const days = words.split(',').map((word) => {
    const ends = word.split('..').map(parseDay)
    const [first, last] = [ends[0], ends.at(-1)]
    if (first === undefined || last === undefined || ends.length > 2) return undefined
    const count = ((last - first + 7) % 7) + 1
    return Array.from({ length: count }, (_, index) => (first + index) % 7)
  })
  return days.every((each) => each !== undefined) ? days.flat() : undefined
}

/** By the three letters, or the whole word. */
function parseDay(word: string): number | undefined {
  const lower = word.toLowerCase()
  const whole = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
  const index = whole.findIndex((name) => lower === name || lower === name.slice(0, 3))
  return index < 0 ? undefined : index
}
