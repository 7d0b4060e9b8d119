import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'ini'
import { ForerunError } from '../errors.ts'
import { readRootOnly } from '../host/root-only.ts'
import { defaultLayerLimits, type LayerLimits } from '../image/layer-limits.ts'
import { type CheckoutMethod, checkoutMethods } from '../tree/checkout-method.ts'
import { duration, oneOf, path, program, size, updateWindow, wholeNumber, yesOrNo } from './setting-value.ts'
import type { UpdateWindow } from './update-window.ts'

export interface Settings {
  readonly store: {
    readonly path: string
    /** Whether layers are kept as they were transferred, too, so that an image can be pushed when its source is gone. */
    readonly keepBlobs: boolean
  }
  readonly containers: {
    readonly path: string
    readonly checkout: CheckoutMethod
    /** Whether the root of an image without a configuration is read-only. */
    readonly readOnly: boolean
  }
  readonly install: {
    /** Whether an image may have power over the host by its host files. `ask`: whoever sits at a terminal; others may. */
    readonly acceptPrivileges: (typeof acceptances)[number]
  }
  readonly service: {
    /** Milliseconds that a service that was started has to stay up. */
    readonly settle: number
  }
  readonly update: {
    /** Milliseconds that a service that was updated has to stay up: else the version before comes back. */
    readonly settle: number
    /** When the timer may update; undefined: whenever it does. */
    readonly window: UpdateWindow | undefined
  }
  /** Name or absolute path of the OCI runtime. */
  readonly runtime: { readonly path: string }
  readonly registry: {
    readonly retries: number
    /** Milliseconds. */
    readonly timeouts: { readonly connect: number; readonly headers: number; readonly idle: number }
    readonly parallelLayers: number
  }
  readonly limits: LayerLimits
  readonly output: {
    /** What lists call that which keeps containers. Scripts of Project Atomic's tool look for `ostree`. */
    readonly backend: (typeof backends)[number]
  }
}

const acceptances = ['ask', 'yes', 'no'] as const
const backends = ['forerun', 'ostree'] as const

/**
 * Reads `/usr/lib/forerun/forerun.conf`, `/etc/forerun/forerun.conf` and `/etc/forerun/forerun.conf.d/*.conf` in the order
 * of their names: what comes later wins, key by key. Files need not exist.
 *
 * @param options.root the tree whose files are read; default `/`.
 * @throws ForerunError `settings` for an unknown section or key and for a bad value, with file and line; for a file that cannot be
 * read, or that others than root may change.
 */
export function readSettings({ root = '/' }: { root?: string } = {}): Settings {
  const settings = defaults()
  for (const file of settingsFiles(root)) readSettingsFile(file, settings)
  return settings
}

type Draft = {
  -readonly [Section in keyof Settings]: { -readonly [Key in keyof Settings[Section]]: Settings[Section][Key] }
}

function defaults(): Draft {
  return {
    store: { path: '/var/lib/forerun/store', keepBlobs: false },
    containers: { path: '/var/lib/forerun/containers', checkout: 'auto', readOnly: false },
    install: { acceptPrivileges: 'ask' },
    service: { settle: 2000 },
    update: { settle: 10_000, window: undefined },
    runtime: { path: 'runc' },
    registry: { retries: 5, timeouts: timeouts(60_000), parallelLayers: 3 },
    limits: { ...defaultLayerLimits },
    output: { backend: 'forerun' },
  }
}

/** A connection that takes longer than ten seconds will not come. */
function timeouts(milliseconds: number): Settings['registry']['timeouts'] {
  return { connect: Math.min(10_000, milliseconds), headers: milliseconds, idle: milliseconds }
}

function settingsFiles(root: string): string[] {
  const folder = join(root, '/etc/forerun/forerun.conf.d')
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.conf')) : []
  const files = ['/usr/lib/forerun/forerun.conf', '/etc/forerun/forerun.conf'].map((file) => join(root, file))
  return [...files, ...names.sort().map((name) => join(folder, name))]
}

function readSettingsFile(file: string, settings: Draft): void {
  const lines = readRootOnly(file, 'settings')?.toString('utf8').split(/\r?\n/) ?? []
  let section: string | undefined
  for (const [index, line] of lines.entries()) {
    if (/^\s*(?:[;#]|$)/.test(line)) continue
    const where = `${file}:${index + 1}`
    const heading = /^\s*\[([^\]]*)\]\s*(?:[;#].*)?$/.exec(line)
    if (heading === null) readLine(line, { where, section, settings })
    else section = knownSection(heading[1] as string, where)
  }
}

function knownSection(name: string, where: string): string {
  if (Object.hasOwn(sections, name)) return name
  throw new ForerunError('settings', `${where}: unknown section [${name}]`, {
    hint: `Known are: ${Object.keys(sections)
      .map((known) => `[${known}]`)
      .join(', ')}.`,
  })
}

/** One line at a time, since the parser does not say on which line it found what. */
function readLine(
  line: string,
  { where, section, settings }: { where: string; section: string | undefined; settings: Draft },
): void {
  if (section === undefined || !line.includes('=')) {
    throw new ForerunError('settings', `${where}: '${line.trim()}' is not understood`, {
      hint: 'A line is a [section], or KEY=VALUE below one, or a comment after #.',
    })
  }
  const [key = '', value = ''] = Object.entries(parse(line, { bracketedArray: false }))[0] ?? []
  const keys = sections[section] as Keys
  const take = Object.hasOwn(keys, key) ? keys[key] : undefined
  if (take === undefined) {
    throw new ForerunError('settings', `${where}: unknown key '${key}' in [${section}]`, {
      hint: `Known are: ${Object.keys(keys).join(', ')}.`,
    })
  }
  const complaint = take(String(value), settings)
  if (complaint !== undefined) {
    throw new ForerunError('settings', `${where}: ${key} cannot be '${String(value)}'`, {
      hint: `It must be ${complaint}.`,
    })
  }
}

/** Takes the value of a key into the settings, or says what it must be. */
type Keys = Record<string, (value: string, settings: Draft) => string | undefined>

const sections: Record<string, Keys> = {
  store: {
    path: path((value, { store }: Draft) => (store.path = value)),
    'keep-blobs': yesOrNo((value, { store }: Draft) => (store.keepBlobs = value)),
  },
  containers: {
    path: path((value, { containers }: Draft) => (containers.path = value)),
    checkout: oneOf(checkoutMethods, (value, { containers }: Draft) => (containers.checkout = value)),
    'read-only': yesOrNo((value, { containers }: Draft) => (containers.readOnly = value)),
  },
  service: { settle: duration((value, { service }: Draft) => (service.settle = value)) },
  update: {
    settle: duration((value, { update }: Draft) => (update.settle = value)),
    window: updateWindow((value, { update }: Draft) => (update.window = value)),
  },
  runtime: { path: program((value, { runtime }: Draft) => (runtime.path = value)) },
  registry: {
    retries: wholeNumber(0, 100, (value, { registry }: Draft) => (registry.retries = value)),
    timeout: duration((value, { registry }: Draft) => (registry.timeouts = timeouts(value))),
    'parallel-layers': wholeNumber(1, 64, (value, { registry }: Draft) => (registry.parallelLayers = value)),
  },
  limits: Object.fromEntries(
    (Object.keys(defaultLayerLimits) as (keyof LayerLimits)[]).map((limit) => [
      limit.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      size((value, { limits }: Draft) => (limits[limit] = value)),
    ]),
  ),
  install: {
    'accept-privileges': oneOf(acceptances, (value, { install }: Draft) => (install.acceptPrivileges = value)),
  },
  output: { backend: oneOf(backends, (value, { output }: Draft) => (output.backend = value)) },
}
