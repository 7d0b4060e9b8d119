import { randomUUID } from 'node:crypto'
import { lstatSync, readlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { renderAdoptedDropIn } from '../../bundle/drop-in.ts'
import { parseUnit, unitValue } from '../../bundle/unit-file.ts'
import { firstWord } from '../../bundle/unit-word.ts'
import { builtInVariables, forcedVariables } from '../../bundle/values.ts'
import { ForerunError } from '../../errors.ts'
import { dropInPath, tmpfilesPath, unitName, unitPath } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import type { AtomicDeployment } from '../../store/atomic-containers.ts'
import type { DeploymentInfo } from '../../store/deployment.ts'
import { enablementLinks, linksTo } from '../../systemd/enablement.ts'
import { digestOfContent, isPresent } from '../../transaction/files.ts'
import type { Context } from '../context.ts'
import { adoptedHostFiles } from './adopted-files.ts'
import { tmpfilesCopy } from './deployment-plan.ts'
import type { PlannedFile } from './plan-files.ts'
import { findRuntime } from './runtime.ts'

/** A deployment of Project Atomic's tool as one of forerun. */
export interface AdoptedDeployment {
  readonly name: string
  /** Where it lies now. */
  readonly from: string
  /** Where it is going to lie. */
  readonly folder: string
  readonly info: DeploymentInfo
  readonly files: readonly PlannedFile[]
  /** Its own files that name its folder, with the new one in them. */
  readonly rewritten: readonly RewrittenFile[]
  /** Host files of which nobody can tell any more what was installed. */
  readonly unknown: readonly string[]
}

export interface RewrittenFile {
  /** In the deployment, or on the host. */
  readonly path: string
  readonly text: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

interface AdoptionPlace {
  /** Where it is going to lie; where it lies, to look at it only. */
  readonly folder: string
  /** Whether the host's unit is of this deployment. */
  readonly isCurrent: boolean
  /** What the old place will have of it, which goes with it. */
  readonly left: readonly string[]
  /** What enables its unit is asked of systemctl(1), which needs root; to look at it, it is as it is found. */
  readonly purpose: 'adopt' | 'look'
  readonly context: Context
}

/**
 * What forerun has to know of a deployment to update it, to roll back to it and to remove it. Reads files only.
 *
 * @throws ForerunError `store` when unit or configuration are missing.
 */
export async function adoptedDeployment(
  deployment: AtomicDeployment,
  place: AdoptionPlace,
): Promise<AdoptedDeployment> {
  const { name, info } = deployment
  const { folder, left, context } = place
  const rewrite = rewriter(deployment, folder)
  const { files: hostFiles, unknown } = adoptedHostFiles(deployment, place)
  const unit = info['has-container-service'] ? rewrite(unitText(deployment, place)) : undefined
  const values = adoptedValues(deployment, folder)
  const runtime = runtimeOf(info.runtime, unit ?? '', context)
  const files = [
    ...hostFiles,
    ...(unit === undefined ? [] : await serviceFiles(unit, deployment, { ...place, runtime, rewrite })),
  ]
  return {
    name,
    from: deployment.folder,
    folder,
    info: {
      ...info,
      values,
      runtime,
      forerun: {
        version: context.version,
        manifest: '',
        files: files.map(withoutContent),
        'tmpfiles-made': left,
        set: givenVariables(name, values),
        placed: true,
        adopted: true,
      },
    },
    files,
    rewritten: rewrittenFiles(deployment, rewrite),
    unknown,
  }
}

/** Takes the old folder of a deployment for the new one: also as it is called from outside of an Atomic Host's /var. */
export function rewriter({ folder: from, info }: AtomicDeployment, to: string): (text: string) => string {
  const { DESTDIR: destination = '' } = info.values
  const names = [
    from,
    ...(destination.startsWith('/') && basename(destination) === basename(from) ? [destination] : []),
  ]
  const patterns = names.map((path) => new RegExp(`(?<![\\w.-])${RegExp.escape(path)}(?![\\w.-])`, 'g'))
  return (text) => patterns.reduce((done, pattern) => done.replace(pattern, () => to), text)
}

/** A file of the host or of a deployment with other paths in it; undefined where it has none, or is no file. */
export function rewrittenFile(path: string, rewrite: (text: string) => string): RewrittenFile | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (!status?.isFile()) return undefined
  const before = readWhenPresent(path)?.toString('latin1') ?? ''
  const after = rewrite(before)
  const { uid, gid, mode } = status
  return after === before ? undefined : { path, text: after, mode: mode & 0o7777, uid, gid }
}

function rewrittenFiles({ name, folder }: AtomicDeployment, rewrite: (text: string) => string): RewrittenFile[] {
  const own = [join(folder, 'config.json'), join(folder, `${name}.service`), tmpfilesCopy(name, folder)]
  return own.flatMap((path) => rewrittenFile(path, rewrite) ?? [])
}

/** The deployment's copy; the unit in use may have been changed since. */
function unitText({ name, folder }: AtomicDeployment, { isCurrent, context }: AdoptionPlace): string {
  if (readWhenPresent(join(folder, 'config.json')) === undefined) throw incomplete(folder, 'config.json')
  const copy = readWhenPresent(join(folder, `${name}.service`))
  const text = copy ?? (isCurrent ? readWhenPresent(unitPath(context.paths, name)) : undefined)
  if (text === undefined) throw incomplete(folder, `${name}.service`)
  return text.toString('latin1')
}

async function serviceFiles(
  unit: string,
  { name, folder, info }: AtomicDeployment,
  options: AdoptionPlace & { runtime: string; rewrite: (text: string) => string },
): Promise<PlannedFile[]> {
  const { isCurrent, rewrite, context } = options
  const { paths } = context
  const tmpfiles = tmpfilesPath(paths, name)
  const lines = readWhenPresent(tmpfilesCopy(name, folder)) ?? (isCurrent ? readWhenPresent(tmpfiles) : undefined)
  return [
    ...(options.purpose === 'look' ? [] : dropIn(name, info.remote, options)),
    ...(lines === undefined ? [] : [textFile('tmpfiles', tmpfiles, rewrite(lines.toString('latin1')))]),
    textFile('unit', unitPath(paths, name), unit),
    ...(await enablement(name, unit, options)),
  ]
}

/** So that a state that a crash leaves does not stop the next start. The folder may be there for drop-ins of the user's own. */
function dropIn(
  name: string,
  remote: string | null,
  { folder, runtime, context }: AdoptionPlace & { runtime: string },
): PlannedFile[] {
  const path = dropInPath(context.paths, name)
  const rootfs = remote === null ? {} : { rootfs: remote }
  const text = renderAdoptedDropIn({ name, destination: folder, runtime, ...rootfs })
  const above = { role: 'drop-in', path: dirname(path), kind: 'directory', mode: 0o755, uid: 0, gid: 0 } as const
  return [...(isPresent(above.path) ? [] : [above]), textFile('drop-in', path, text)]
}

function textFile(role: 'unit' | 'tmpfiles' | 'drop-in', path: string, text: string): PlannedFile {
  const content = { bytes: Buffer.from(text, 'latin1') }
  const mode = 0o644
  return { role, path, kind: 'file', mode, uid: 0, gid: 0, digest: digestOfContent(content), content }
}

/** Also links that are not there: an update does not enable what somebody has disabled. */
async function enablement(
  name: string,
  unit: string,
  { purpose, context }: Pick<AdoptionPlace, 'purpose' | 'context'>,
): Promise<PlannedFile[]> {
  const path = unitPath(context.paths, name)
  const found = new Map(linksTo(path).map((link) => [link, readlinkSync(link)]))
  const wanted = purpose === 'adopt' ? await wantedLinks(name, unit, context) : []
  const all = new Map([...wanted.map((link) => [link.path, link.target] as const), ...found])
  return [...all].map(([link, target]) => ({ role: 'enablement', path: link, kind: 'symlink', target, uid: 0, gid: 0 }))
}

/** What systemd cannot enable nobody has enabled. */
async function wantedLinks(name: string, unit: string, context: Context) {
  try {
    return await enablementLinks(unitName(name), new Map([[unitPath(context.paths, name), unit]]), context)
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'unit') return []
    throw error
  }
}

/** Older versions of that tool knew no UUID, which updates keep. */
function adoptedValues({ info: { values } }: AtomicDeployment, folder: string): Record<string, string> {
  return { UUID: randomUUID(), ...values, ...(values.DESTDIR === undefined ? {} : { DESTDIR: folder }) }
}

/** That tool kept all values through updates, without telling which were given. What is built in stays so, unless it is another. */
function givenVariables(name: string, values: Readonly<Record<string, string>>): string[] {
  const usual: Record<string, string> = {
    RUN_DIRECTORY: '/run',
    STATE_DIRECTORY: '/var/lib',
    CONF_DIRECTORY: '/etc',
    PIDFILE: `/run/container-${name}.pid`,
  }
  return Object.keys(values).filter((key) => {
    if (forcedVariables.includes(key)) return false
    return builtInVariables.includes(key) ? usual[key] !== undefined && usual[key] !== values[key] : true
  })
}

/** Older versions of that tool named it in the unit alone. */
function runtimeOf(told: string, unit: string, { settings }: Context): string {
  const command = unitValue(parseUnit(unit), 'Service', 'ExecStart') ?? ''
  const started = firstWord(command).word.replace(/^[-@:+!]*/, '')
  const runtime = told || (/(?:runc|crun)$/.test(started) ? started : settings.runtime.path)
  try {
    return findRuntime(runtime)
  } catch (error) {
    if (error instanceof ForerunError) return runtime
    throw error
  }
}

function withoutContent(file: PlannedFile): PlacedFile {
  if (file.kind !== 'file') return file
  const { content: _, ...placed } = file
  return placed
}

function incomplete(folder: string, file: string): ForerunError {
  return new ForerunError('store', `'${folder}' has no ${file}, so that it cannot be started`, {
    hint: 'Put it back from a backup, or install the container anew.',
  })
}
