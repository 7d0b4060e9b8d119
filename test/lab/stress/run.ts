import type { InstalledHost } from '../../e2e/installed-host.ts'
import { type Random, random } from '../random.ts'
import { type Container, containers, kinds, stressImage, versions } from './catalogue.ts'
import { chooseCommand } from './commands.ts'
import { errorCode, faultsOf, momentsOf } from './judge.ts'
import { absent, type ContainerState, type Moment, statesAfter } from './model.ts'
import { type Ended, runCommand } from './process.ts'
import { inspectQuietHost } from './quiet.ts'

export interface StressOptions {
  readonly seed: number
  /** Milliseconds for which commands are begun. */
  readonly duration: number
  /** Commands that run at once. */
  readonly parallel: number
  /** Told of each fault as it is found. */
  readonly onFault?: (fault: string) => void
}

export interface StressReport {
  readonly commands: number
  /** By label, then by how they ended. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly waited: number
  /** Seconds. */
  readonly longestWait: number
  /** Seconds, and of what. */
  readonly longest: { readonly seconds: number; readonly label: string }
  readonly signals: Readonly<Record<string, number>>
  /** How often the host was looked at while nothing ran. */
  readonly quiet: number
  readonly faults: readonly string[]
}

/** Milliseconds between two looks at the host while nothing runs, and for the longest command. */
const round = 40_000
const patience = 180_000

/**
 * Keeps many commands of forerun running at once on one host, by chance and with signals, and sees that each ends as it may, that
 * lists tell whole containers, and that whenever all is quiet the host is what the commands that succeeded made it.
 */
export async function runStress(lab: InstalledHost, options: StressOptions): Promise<StressReport> {
  const chance = random(options.seed)
  const stress = new Stress(lab, await pushImages(lab), options)
  const end = Date.now() + options.duration
  await lab.shell('mkdir -p /mnt/m0 /mnt/m1 /mnt/m2')
  while (Date.now() < end) await stress.round(chance, Math.min(end, Date.now() + round))
  await stress.clear()
  return stress.report()
}

interface Images {
  /** By `plain:v1`. */
  readonly references: ReadonlyMap<string, string>
  readonly ids: ReadonlyMap<string, string>
}

async function pushImages(lab: InstalledHost): Promise<Images> {
  const references = new Map<string, string>()
  const ids = new Map<string, string>()
  for (const kind of new Set(Object.values(kinds))) {
    for (const version of versions) {
      const name = `${kind}:${version}`
      const reference = await lab.push(`stress/${name}`, stressImage(kind, version))
      references.set(name, reference)
      await lab.must('pull', reference)
      const { json } = await lab.must<{ id: string; tag: string; repository: string }[]>('images', 'list', '--json')
      const row = json.find((each) => each.repository.endsWith(`/${kind}`) && each.tag === version)
      ids.set(name, row?.id ?? '')
    }
  }
  return { references, ids }
}

class Stress {
  readonly #lab: InstalledHost
  readonly #images: Images
  readonly #options: StressOptions
  readonly #faults: string[] = []
  readonly #figures = new Figures()
  #states = new Map<Container, readonly ContainerState[]>(containers.map((name) => [name, [absent]]))
  #quiet = 0

  constructor(lab: InstalledHost, images: Images, options: StressOptions) {
    this.#lab = lab
    this.#images = images
    this.#options = options
  }

  /** Commands until then, and a look at the host once they have ended. */
  async round(chance: Random, until: number): Promise<void> {
    const moments: Moment[] = []
    const lane = async (): Promise<void> => {
      while (Date.now() < until) {
        const command = chooseCommand(chance, this.#images.references)
        try {
          const ended = await runCommand(this.#lab.host, command, patience)
          this.#figures.add(ended)
          for (const fault of faultsOf(ended, this.#images.ids)) this.#fault(`${told(ended)}: ${fault}`)
          moments.push(...momentsOf(ended))
        } catch (error) {
          this.#fault((error as Error).message)
        }
      }
    }
    await Promise.all(Array.from({ length: this.#options.parallel }, lane))
    await this.#settle(moments)
  }

  async #settle(moments: readonly Moment[]): Promise<void> {
    const { faults, states } = await inspectQuietHost(this.#lab, this.#images.ids)
    this.#quiet++
    for (const fault of faults) this.#fault(`when all was quiet: ${fault}`)
    for (const name of containers) {
      const own = moments.filter(({ container }) => container === name)
      const before = this.#states.get(name) ?? []
      const possible = statesAfter(before, own, (moment, states) =>
        this.#fault(`${name}: ${moment.told} succeeded in none of ${JSON.stringify(states)}\n${history(own)}`),
      )
      const actual = states.get(name) ?? absent
      const fitting = possible.filter((state) => isSame(state, actual))
      if (fitting.length === 0) {
        this.#fault(`${name} is ${JSON.stringify(actual)}, and not one of ${JSON.stringify(possible)}\n${history(own)}`)
      }
      this.#states.set(name, fitting.length === 0 ? [actual] : fitting)
    }
  }

  /** Takes all away: then nothing is left on the host or in the store. */
  async clear(): Promise<void> {
    const lab = this.#lab
    await lab.must('containers', 'delete', '--all', '--force')
    const { json } = await lab.must<{ id: string }[]>('images', 'list', '--json')
    for (const id of new Set(json.map((each) => each.id))) await lab.must('images', 'delete', id)
    await lab.must('images', 'prune')
    const { faults } = await inspectQuietHost(lab, this.#images.ids)
    for (const fault of faults) this.#fault(`when all had been removed: ${fault}`)
    const left = await lab.shell(
      'cd /var/lib/forerun; find store/objects store/layers store/blobs store/partial containers ! -type d 2>/dev/null || true',
    )
    if (left !== '') this.#fault(`left when all had been removed: ${left}`)
  }

  report(): StressReport {
    return { ...this.#figures.report(), quiet: this.#quiet, faults: this.#faults }
  }

  #fault(fault: string): void {
    this.#faults.push(fault)
    this.#options.onFault?.(fault)
  }
}

function told({ command, status, began, ended, stderr }: Ended): string {
  const { signal } = command
  const signalled = signal === undefined ? '' : `, ${signal.name} after ${signal.after} ms`
  const lines = stderr.split('\n').slice(-60).join('\n')
  return `forerun ${command.words.join(' ')} (status ${status}, ${new Date(began).toISOString()}, ${ended - began} ms${signalled})\n${lines}\n`
}

function history(moments: readonly Moment[]): string {
  return moments
    .toSorted((a, b) => a.time - b.time)
    .map(
      ({ time, told, effect, isCertain }) =>
        `  ${new Date(time).toISOString()} ${isCertain ? '' : 'perhaps '}${effect === 'superseded' ? 'given up by ' : ''}${told}`,
    )
    .join('\n')
}

/** What waits for the boot is compared as far as a host tells it. */
function isSame(state: ContainerState, actual: ContainerState): boolean {
  const visible = ({ pending, ...rest }: ContainerState) => JSON.stringify({ ...rest, pending: pending !== null })
  return visible(state) === visible(actual)
}

class Figures {
  #commands = 0
  readonly #outcomes: Record<string, Record<string, number>> = {}
  readonly #signals: Record<string, number> = {}
  #waited = 0
  #longestWait = 0
  #longest = { seconds: 0, label: '' }

  add(ended: Ended): void {
    const { command, status, began, records, signalled } = ended
    this.#commands++
    const outcome = status === 0 ? 'ok' : (errorCode(ended) ?? `status ${status}`)
    const outcomes = this.#outcomes[command.label] ?? {}
    this.#outcomes[command.label] = outcomes
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    if (signalled && command.signal !== undefined) {
      const { name } = command.signal
      this.#signals[name] = (this.#signals[name] ?? 0) + 1
    }
    const waits = records.flatMap(({ msg, time }, index) =>
      msg.startsWith('Waiting ') ? [(records[index + 1]?.time ?? ended.ended) - time] : [],
    )
    if (waits.length > 0) this.#waited++
    this.#longestWait = Math.max(this.#longestWait, ...waits.map((wait) => wait / 1000))
    const seconds = (ended.ended - began) / 1000
    if (seconds > this.#longest.seconds) this.#longest = { seconds, label: command.label }
  }

  report(): Omit<StressReport, 'quiet' | 'faults'> {
    return {
      commands: this.#commands,
      outcomes: this.#outcomes,
      waited: this.#waited,
      longestWait: this.#longestWait,
      longest: this.#longest,
      signals: this.#signals,
    }
  }
}
