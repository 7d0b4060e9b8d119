import type { ContainerRow } from '../../../src/operations/containers/list-containers.ts'
import type { MountedTree } from '../../../src/store/mount-record.ts'
import type { InstalledHost } from '../../e2e/installed-host.ts'
import { type Container, containers, kinds, readCommand, shortName } from './catalogue.ts'
import { rowFaults } from './judge.ts'
import type { ContainerState, Slot } from './model.ts'

export interface QuietHost {
  /** What is wrong, a sentence each. */
  readonly faults: string[]
  readonly states: ReadonlyMap<Container, ContainerState | undefined>
}

/** Looks at a host on which no command runs any more: what is there, and that nothing else is. */
export async function inspectQuietHost(lab: InstalledHost, ids: ReadonlyMap<string, string>): Promise<QuietHost> {
  const faults: string[] = []
  await lab.must('recover')
  for (const { directory } of (await lab.must<MountedTree[]>('mount', '--json')).json)
    await lab.must('umount', directory)
  await lab.must('images', 'prune')
  const verified = await lab.forerun('verify', '--all', '--json')
  if (verified.status !== 0) faults.push(`verify: ${verified.stdout}`)
  const { json: rows } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  faults.push(...rows.flatMap((row) => rowFaults(row, ids)))
  for (const [what, script, wanted] of leftovers(rows)) {
    const found = await lab.shell(script)
    if (found !== wanted) faults.push(`${what}: '${found}', not '${wanted}'`)
  }
  const states = new Map<Container, ContainerState>()
  for (const name of containers) states.set(name, await stateOf(name, rows, lab))
  return { faults, states }
}

/** What to look for, with a shell's script, and what it prints where all is well. */
function leftovers(rows: readonly ContainerRow[]): [string, string, string][] {
  const pending = rows.filter(({ trial }) => trial?.awaits === 'boot')
  const judging = rows.filter(({ trial }) => trial?.awaits === 'start').map(({ container }) => container)
  const plain = rows.filter(({ container }) => kinds[container as Container] === 'plain')
  const hostFiles =
    plain.length === 0 ? [] : ['common', ...plain.map(({ image }) => image.slice(image.lastIndexOf(':') + 1))]
  const names = rows.map(({ container }) => container)
  const kept = rows.filter(({ container }) => ['kept', 'scratch'].includes(kinds[container as Container]))
  const list = (words: readonly string[]): string => [...new Set(words)].sort().join('\n')
  const withoutPending = pending.length === 0 ? '' : ` | grep -v '^.forerun-'`
  return [
    ['trials of nobody', 'true', judging.join('')],
    ['journals', 'ls -A /var/lib/forerun/journal 2>/dev/null | wc -l', `${pending.length}`],
    ['hidden folders of containers', `ls -A /var/lib/forerun/containers | grep '^\\.'${withoutPending} || true`, ''],
    ['staged volumes', "ls -A /var/lib | grep '^.forerun' || true", ''],
    ['staging in the store', "ls -A /var/lib/forerun/store | grep '^\\.' || true", ''],
    [
      'mounts of trees',
      "grep -E ' /mnt/|/store/mounts/' /proc/self/mountinfo || true; ls -d /var/lib/forerun/store/mounts 2>/dev/null || true",
      '',
    ],
    [
      'locks',
      'ls -A /run/forerun/host.lock /run/forerun/store.lock',
      '/run/forerun/host.lock:\nnext\n\n/run/forerun/store.lock:\nnext',
    ],
    ['failed mounts', 'systemctl list-units --failed --plain --no-legend --type=mount', ''],
    [
      'units',
      "ls /etc/systemd/system | grep -E '^c[0-9]\\.service$' | sort",
      list(names.map((name) => `${name}.service`)),
    ],
    [
      'drop-ins',
      "ls /etc/systemd/system | grep -E '^c[0-9]\\.service\\.d$' | sort",
      list(names.map((name) => `${name}.service.d`)),
    ],
    [
      'links that enable units',
      "ls /etc/systemd/system/multi-user.target.wants | grep -E '^c[0-9]' | sort",
      list(names.map((name) => `${name}.service`)),
    ],
    [
      'units that run',
      "systemctl list-units --plain --no-legend --state=active 'c[0-9].service' | cut -d' ' -f1 | sort",
      list(rows.filter(({ state }) => state === 'running').map(({ container }) => `${container}.service`)),
    ],
    [
      'containers of the runtime',
      'runc list --quiet | sort',
      list(rows.filter(({ state }) => state === 'running').map(({ container }) => container)),
    ],
    ['scopes', "systemctl list-units --all --plain --no-legend 'forerun*.scope'", ''],
    ['host files', 'ls -A /etc/stress 2>/dev/null | sort', list(hostFiles)],
    ['mount units', "ls /etc/systemd/system | grep -c '^var-lib-forerun.*\\.mount$' || true", `${kept.length}`],
    ['processes of forerun', "pgrep -af '[f]orerun.cjs' || true", ''],
  ]
}

async function stateOf(name: Container, rows: readonly ContainerRow[], lab: InstalledHost): Promise<ContainerState> {
  const row = rows.find(({ container }) => container === name)
  if (row === undefined) return { current: null, other: null, running: false, pending: null }
  const told = readCommand(row.command)
  const current: Slot = { image: shortName(row.image), word: told?.word ?? '' }
  const other = row.other === null ? null : await slotIn(row.other.folder, lab)
  // What it goes back to is what its other deployment is now.
  const isPending = row.trial?.awaits === 'boot'
  const pending = isPending ? { current: other, other: null, running: true, pending: null } : null
  return { current, other, running: row.state === 'running', pending }
}

async function slotIn(folder: string, lab: InstalledHost): Promise<Slot> {
  const info = JSON.parse(await lab.shell(`cat ${folder}/info`)) as { image: string; values: Record<string, string> }
  return { image: shortName(info.image), word: info.values.WORD ?? '' }
}
