import { ForerunError } from '../errors.ts'

/**
 * The stop signal of an image in systemd's words (systemd.kill(5)). Images have names with and without SIG in any case,
 * and numbers; an image that says none means SIGTERM.
 *
 * @throws ForerunError `configuration` for what is no signal of Linux: systemd would pass over it and send SIGTERM.
 */
export function stopSignal(text: string | undefined): string {
  if (!text) return 'SIGTERM'
  const name = text.toUpperCase().replace(/^SIG/, '')
  const known = aliases.get(name) ?? name
  if (/^[1-9][0-9]?$/.test(text) && Number(text) <= last) return text
  if (names.includes(known) || isRealTime(known)) return `SIG${known}`
  throw new ForerunError('configuration', `The image's stop signal is ${JSON.stringify(text)}, which is no signal`, {
    hint: 'Have the image built anew with a name such as SIGQUIT.',
  })
}

/** `RTMIN+3`, `RTMAX-2`: 34 to 64, as the C library counts them. */
function isRealTime(name: string): boolean {
  const match = /^RT(?:MIN(?:\+([0-9]{1,2}))?|MAX(?:-([0-9]{1,2}))?)$/.exec(name)
  return match !== null && Number(match[1] ?? match[2] ?? 0) <= last - firstRealTime
}

const firstRealTime = 34
const last = 64

/** signal(7); those of other architectures are left out. */
const names =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  )

/** Second names, which systemd does not know. */
const aliases = new Map([
  ['CLD', 'CHLD'],
  ['IOT', 'ABRT'],
  ['POLL', 'IO'],
])
