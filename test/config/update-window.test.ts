import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isOpen, parseUpdateWindow } from '../../src/config/update-window.ts'

/** A local time of the week that begins with Sunday, 1 March 2026. */
function at(words: string): Date {
  const [day = '', time = ''] = words.split(' ')
  const [hour = 0, minute = 0] = time.split(':').map(Number)
  return new Date(2026, 2, 1 + ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(day), hour, minute)
}

/** Window, times when it is open, times when it is closed. */
const table: [string, string[], string[]][] = [
  ['02:00-05:00', ['Sun 02:00', 'Wed 04:59'], ['Sun 01:59', 'Wed 05:00']],
  ['Sat..Sun 02:00-05:00', ['Sat 02:00', 'Sun 04:59'], ['Fri 02:00', 'Mon 03:00', 'Sat 05:00']],
  ['Fri..Mon 02:00-05:00', ['Fri 03:00', 'Sat 03:00', 'Sun 03:00', 'Mon 03:00'], ['Thu 03:00', 'Tue 03:00']],
  ['mon,Wed..thursday 2:00 - 05:30', ['Mon 02:00', 'Wed 05:29', 'Thu 02:00'], ['Tue 03:00', 'Fri 03:00']],
  // Past midnight it is of the day on which it opened.
  ['Sat 23:00-01:00', ['Sat 23:00', 'Sat 23:59', 'Sun 00:59'], ['Sun 01:00', 'Sun 23:30', 'Sat 00:30', 'Sat 22:59']],
  ['22:00-06:00', ['Sun 22:00', 'Mon 05:59', 'Sun 00:00'], ['Sun 06:00', 'Sun 21:59']],
  ['Sun 00:00-24:00', ['Sun 00:00', 'Sun 23:59'], ['Sat 23:59', 'Mon 00:00']],
  ['Sun 20:00-00:00', ['Sun 23:59'], ['Mon 00:00', 'Sun 19:59']],
]

describe('a window is open and closed', () => {
  for (const [words, open, closed] of table) {
    test(words, () => {
      const window = parseUpdateWindow(words)
      assert.ok(window !== undefined)
      for (const time of open) assert.ok(isOpen(window, at(time)), time)
      for (const time of closed) assert.ok(!isOpen(window, at(time)), time)
    })
  }
})

test('other words are no window', () => {
  const wrong = ['', 'Sat', '02:00', '02:00-02:00', '24:00-02:00', '02:60-03:00', '02:00-24:01', 'Sa 02:00-03:00']
  for (const words of [
    ...wrong,
    'Sat.. 02:00-03:00',
    'Sat...Sun 02:00-03:00',
    ',Sat 02:00-03:00',
    'Sat..Sun..Mon 1:00-2:00',
  ]) {
    assert.equal(parseUpdateWindow(words), undefined, words)
  }
})
