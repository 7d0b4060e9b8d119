import { type Command, InvalidArgumentError, Option } from 'commander'

/** For an option that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** For an option that may stand alone, or say true or false. */
export function parseBoolean(value: string): boolean {
  const word = value.toLowerCase()
  if (['true', '1', 'yes', 'on'].includes(word)) return true
  if (['false', '0', 'no', 'off'].includes(word)) return false
  throw new InvalidArgumentError('Write true or false.')
}

/** Seconds, as the settings have them. @returns milliseconds. */
export function parseSeconds(value: string): number {
  const seconds = /^[0-9]{1,6}(?:\.[0-9]{1,3})?$/.test(value) ? Number(value) : Number.NaN
  if (Number.isNaN(seconds)) throw new InvalidArgumentError('Write a number of seconds.')
  return seconds * 1000
}

/** Of commands that see whether a service stays up. */
export function settleOption(): Option {
  const about = 'how long the service has to stay up (default: [update] settle)'
  return new Option('--settle <SECONDS>', about).argParser(parseSeconds)
}

/** `KEY=VALUE` of a `--filter`. */
export interface Filter {
  readonly key: string
  readonly value: string
}

/** For `--filter`, which may be repeated. @param keys the keys that the command knows. */
export function filters(keys: readonly string[]): (value: string, before: Filter[] | undefined) => Filter[] {
  return (word, before) => {
    const equals = word.indexOf('=')
    const key = word.slice(0, equals)
    if (equals < 1) throw new InvalidArgumentError('Write KEY=VALUE.')
    if (!keys.includes(key)) throw new InvalidArgumentError(`Known keys: ${keys.join(', ')}.`)
    return [...(before ?? []), { key, value: word.slice(equals + 1) }]
  }
}

/** Whether every filter's value is a part of one of the row's values of that key. */
export function matches(
  row: Readonly<Record<string, string | readonly string[]>>,
  wanted: readonly Filter[] | undefined,
): boolean {
  return (wanted ?? []).every(({ key, value }) => [row[key] ?? []].flat().some((text) => text.includes(value)))
}

/** Adds the options that give the variables of an image their values. @param about what `--set` does. */
export function withValueOptions(giving: Command, about: string): Command {
  return withPlainValueOptions(giving, about).option(
    '--set-credential <KEY=FILE>',
    'have systemd hand this file to the service at each start; the value is where it lies then',
    collect,
  )
}

/** As `withValueOptions`, without what needs a service. */
export function withPlainValueOptions(giving: Command, about: string): Command {
  return giving
    .option('--set <KEY=VALUE>', `${about}; may be repeated`, collect)
    .option('--set-file <KEY=FILE>', 'the same with the content of a file, which is kept secret', collect)
}

/** Adds the options that accept what an image may do on the host. */
export function withAcceptOptions(placing: Command): Command {
  return placing
    .option('--accept-privileges', 'let it have all privileges that it asks for, without a question')
    .option(
      '--accept-privilege <WHAT>',
      'let it have a kind of privileges or a certain one, such as capability, CAP_NET_ADMIN or a path; may be repeated',
      collect,
    )
}

/** What the lists have in common. */
export interface ListOptions {
  readonly all?: boolean
  readonly filter?: Filter[]
  readonly heading: boolean
  readonly trunc: boolean
}

/** Adds the options of a list. @param about what `--all` adds, the keys of `--filter`, what `--no-trunc` shows. */
export function withListOptions(
  list: Command,
  about: { all: string; keys: readonly string[]; whole: string },
): Command {
  return list
    .option('-a, --all', about.all)
    .option(
      '-f, --filter <KEY=VALUE>',
      `only those whose value holds VALUE; keys: ${about.keys.join(', ')}`,
      filters(about.keys),
    )
    .option('-n, --no-heading', 'print no heading')
    .option('--no-trunc', about.whole)
}

/** Adds the options of commands that reach images elsewhere: those of `SourceOptions` but the platform. */
export function withSourceOptions(fetching: Command): Command {
  return withTlsOptions(fetching)
    .option('--authfile <FILE>', 'take credentials from this file, and look nowhere else')
    .option('--creds <USER[:PASSWORD]>', 'credentials for the registry, in place of those that are stored')
}

/** Adds the options of commands that speak with a registry. */
export function withTlsOptions(speaking: Command): Command {
  const option = new Option('--tls-verify [BOOL]', 'check certificates; false also allows plain HTTP')
  return speaking
    .addOption(option.argParser(parseBoolean))
    .option('--cert-dir <DIR>', 'a folder of certificates (*.crt, *.cert, *.key), in place of certs.d')
}

/** Adds the option of commands that take one image of many. @param use what it is for, in a user's words. */
export function withPlatformOption(choosing: Command, use: string): Command {
  return choosing.option('--platform <OS/ARCH[/VARIANT]>', `${use} (default: this host's)`)
}
