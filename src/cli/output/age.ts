/**
 * How long ago something was, as container engines put it: `3 weeks ago`. `N/A`, Docker's word, for what no image was made at:
 * builds that are to give the same bytes each time say 1970, 1980 or the year 1.
 *
 * @param time Unix time in seconds; `now` too.
 */
export function age(time: number, now: number = Date.now() / 1000): string {
  const seconds = Math.floor(now - time)
  if (Number.isNaN(seconds)) return ''
  if (time < firstImages) return 'N/A'
  if (seconds < 1) return 'Less than a second ago'
  const [unit, length] = scale.find(([, , until]) => seconds < until) as (typeof scale)[number]
  const count = Math.floor(seconds / length)
  return count === 1
    ? `${unit === 'second' ? '1' : unit === 'hour' ? 'About an' : 'About a'} ${unit} ago`
    : `${count} ${unit}s ago`
}

/** When Docker came out. */
const firstImages = Date.UTC(2013, 2) / 1000

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** A unit is used until a bigger one is precise enough. */
const scale: [unit: string, length: number, until: number][] = [
  ['second', 1, minute],
  ['minute', minute, hour],
  ['hour', hour, 2 * day],
  ['day', day, 14 * day],
  ['week', 7 * day, 60 * day],
  ['month', 30 * day, 730 * day],
  ['year', 365 * day, Number.POSITIVE_INFINITY],
]
