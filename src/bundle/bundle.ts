import { posix } from 'node:path'
import { serviceTemplate } from '../../templates/service.template.ts'
import { ForerunError } from '../errors.ts'
import type { SecurityModules } from '../host/security-modules.ts'
import type { ImageConfiguration } from '../image/configuration.ts'
import type { HealthCheck } from '../image/health-check.ts'
import type { ByteString } from '../tree/entry.ts'
import { absentSources } from './absent-sources.ts'
import { refuseNestedSources } from './bind-sources.ts'
import { credentialsFolder, credentialValues, withCredentials } from './credentials.ts'
import { defaultConfiguration } from './default-configuration.ts'
import { renderDropIn, unitNotifyWay } from './drop-in.ts'
import { type Exports, exportedVariables, readExports } from './exports.ts'
import { type HostFile, planHostFiles } from './host-files.ts'
import { fitToHost } from './host-fit.ts'
import type { ImageFiles } from './image-files.ts'
import { installedKind, type KindAt } from './installed-kind.ts'
import { formatJson } from './json-text.ts'
import { type MountPoint, mountPoints, sourceKind } from './mount-points.ts'
import { type MountUnit, renderMountUnit } from './mount-unit.ts'
import { notifySocket, withNotifySocket } from './notify-socket.ts'
import { parseRuntimeConfiguration, placeInUnitCgroup, withoutTerminal } from './runtime-configuration.ts'
import type { RuntimeConfiguration, Seccomp } from './runtime-schema.ts'
import { stopSignal } from './stop-signal.ts'
import {
  parseTemplate,
  renderTemplate,
  secretVariables,
  type Template,
  templateVariables,
  type Values,
} from './template.ts'
import { readJsonFile, renderJsonTemplate } from './template-json.ts'
import { directoryLine, sourceLines } from './tmpfiles.ts'
import { renderTmpfilesTemplate } from './tmpfiles-template.ts'
import { unitCgroup } from './unit-cgroup.ts'
import { parseUnit } from './unit-file.ts'
import { renderUnitTemplate } from './unit-template.ts'
import { builtInVariables, type Deployment, deploymentValues, unitFollowsPidFile } from './values.ts'
import type { Volume } from './volumes.ts'

export interface BundleInput {
  readonly deployment: Deployment
  readonly image: ImageConfiguration
  readonly files: ImageFiles
  /** From `parseAssignments`. */
  readonly assignments: Values
  /** Values of an earlier deployment, for variables that nobody gives a value and the image has no default for. */
  readonly earlier?: Values
  /** Names of those that are secret, beside those that the image says. */
  readonly secrets?: readonly string[]
  /** Paths of files that systemd hands to the service, by variable. */
  readonly credentials?: Values
  readonly hostKind: KindAt
  /** Absolute path of an existing tree (`--rootfs`), in place of `rootfs` beside the configuration. */
  readonly rootfs?: string
  readonly securityModules: SecurityModules
  /** Tells the system calls of a container whose image has no configuration; undefined: all. */
  readonly seccomp?: () => Seccomp | undefined
  /** Programs of the image that give privileges to whoever starts them. */
  readonly privilegedFiles?: readonly ByteString[]
  /** Texts of what the host adds to a unit of that name, in the order in which systemd reads them. */
  readonly unitDropIns?: readonly string[]
  /** Whether a read-only root is to be an overlay, too. */
  readonly overlay: boolean
  /** `asked`: whatever the image says, `preferred`: where the image does not say. */
  readonly readOnlyRoot?: 'asked' | 'preferred' | undefined
}

/** All that an installation puts on the host, complete and checked, before anything is there. */
export interface Bundle {
  readonly values: Values
  /** Names of those that are secret. */
  readonly secrets: readonly string[]
  readonly hostFiles: readonly HostFile[]
  /** Of `/exports/manifest.json`: host paths whose content is a template, and new paths by old ones, rendered. */
  readonly installedFilesTemplate: readonly string[]
  readonly renamedFiles: Readonly<Record<string, string>>
  /** Whether host files under `/usr` may be hard links into the checkout. */
  readonly useLinks: boolean
  /** Absent when the image is host files only: then it has no unit, no tmpfiles lines and no root file system. */
  readonly service?: ServiceBundle
  /** What the user should know, one sentence each. */
  readonly notices: readonly string[]
}

export interface ServiceBundle {
  readonly configuration: RuntimeConfiguration
  /** The text of config.json. */
  readonly configurationText: string
  readonly unit: string
  /** 0o600 where it holds a secret. */
  readonly unitMode: number
  readonly dropIn: string
  /** Of a root that is an overlay: every writable one but that of `--rootfs`, which is its user's own to change. */
  readonly mountUnit?: MountUnit
  /** The text of tmpfiles.d/NAME.conf; absent when there is nothing to make. */
  readonly tmpfiles?: string
  /** 0o600 where they hold a secret. */
  readonly tmpfilesMode: number
  /** What has to exist in the root file system. */
  readonly mountPoints: readonly MountPoint[]
  /** Those that the image declares, of an image without a configuration of its own. */
  readonly volumes: readonly Volume[]
  /** The folder of the host that holds the volumes, root's alone. */
  readonly volumesFolder: string
  /** Whether it is for the user to say that the root is read-only. */
  readonly choosesRoot: boolean
  readonly healthCheck: HealthCheck | undefined
}

/**
 * Prepares the bundle of an image: values, then host files, configuration, unit and tmpfiles lines, each rendered from
 * the image's template or made from the image's own configuration. Pure: the same input gives the same bundle.
 *
 * @throws ForerunError `exports`, `template`, `configuration`.
 */
export function prepareBundle(input: BundleInput): Bundle {
  const { deployment, files } = input
  const exports = readExports(files)
  const { credentials = new Map() } = input
  const secrets = new Set([...(input.secrets ?? []), ...exports.manifest.secretValues])
  const values = deploymentValues(deployment, {
    assignments: new Map([...input.assignments, ...credentialValues(credentials, deployment.name)]),
    defaults: new Map([...(input.earlier ?? []), ...exports.manifest.defaultValues]),
    detached: unitFollowsPidFile(templateVariables(exports.unit ?? defaultUnit)),
  })
  const hostFiles = planHostFiles(files, exports.manifest, { values, secrets })
  const { installedFilesTemplate, renameFiles, useLinks } = exports.manifest
  const renamedFiles = Object.fromEntries([...renameFiles].map(([from, to]) => [from, renderTemplate(to, values)]))
  const common = { values, secrets: [...secrets], hostFiles, installedFilesTemplate, renamedFiles, useLinks }
  const unused = unusedAssignments(input, exports)
  if (exports.manifest.noContainerService) return { ...common, notices: unused }

  const { own: wanted, volumes, notices } = ownConfiguration(input, exports, values)
  const { configuration: own, notices: unfit } = fitToHost(wanted, { ...input.securityModules, ...deployment })
  const unit = unitText(input, exports, values)
  const cgroup = unitCgroup([unit, ...(input.unitDropIns ?? [])], deployment.name)
  const notifyWay = unitNotifyWay(parseUnit(unit), own.mounts ?? [], deployment)
  const heard = notifyWay === 'container' ? withNotifySocket(own) : own
  const placed = withRoot(placeInUnitCgroup(heard, cgroup), input.rootfs)
  const configuration = withCredentials(placed, { credentials, container: deployment.name })
  const mountUnit = rootMount(input, configuration, exports)
  const tmpfiles = tmpfilesText(input, { template: exports.tmpfiles, configuration: own, hostFiles, volumes, values })
  const kind = installedKind(input.hostKind, { hostFiles, tmpfiles })
  const absent = absentSources(own, { unit, kind }).map(
    (path) => `'${path}' is not there for ${deployment.name} to bind, and nothing of the image makes it`,
  )
  const service = {
    configuration,
    configurationText: formatJson(configuration),
    unit,
    unitMode: fileMode(exports.unit, secrets),
    dropIn: renderDropIn(
      {
        ...deployment,
        cgroup,
        notifyWay,
        pidFile: values.get('PIDFILE') ?? '',
        ...(input.rootfs === undefined ? {} : { rootfs: input.rootfs }),
        ...(mountUnit === undefined ? {} : { mountUnit: mountUnit.name }),
        credentials,
      },
      unit,
    ),
    ...(mountUnit === undefined ? {} : { mountUnit }),
    ...(tmpfiles === '' ? {} : { tmpfiles }),
    tmpfilesMode: fileMode(exports.tmpfiles, secrets),
    mountPoints: mountPoints(configuration, (source) =>
      source === notifySocket ? 'file' : sourceKind(source, files, kind),
    ),
    volumes,
    volumesFolder: volumesFolder(input.deployment, values),
    choosesRoot: exports.configuration === undefined,
    healthCheck: exports.manifest.healthCheck ?? input.image.config.healthCheck,
  }
  const readable = readableSecrets(exports.unit, secrets)
  return { ...common, service, notices: [...unused, ...notices, ...unfit, ...absent, ...readable] }
}

function fileMode(template: Template | undefined, secrets: ReadonlySet<string>): number {
  return secretVariables(template, secrets).length === 0 ? 0o644 : 0o600
}

function readableSecrets(template: Template | undefined, secrets: ReadonlySet<string>): string[] {
  return secretVariables(template, secrets).map(
    (name) =>
      `The unit holds the secret value of '${name}', which systemd tells every user (systemctl show); --set-credential ${name}=FILE does not`,
  )
}

const defaultUnit = parseTemplate(serviceTemplate, 'service.template')

/** A name that is misspelt would otherwise be noticed long after, by what the service does. */
export function unusedAssignments({ assignments, files }: BundleInput, exports: Exports): string[] {
  const used = new Set([...exportedVariables(exports, files), ...builtInVariables])
  const unused = [...assignments.keys()].filter((name) => !used.has(name))
  return unused.map((name) => `No template of the image uses the variable '${name}' that was set`)
}

/** The configuration that the image brings, or the one made from the image's own where it brings none. */
export function ownConfiguration(
  { deployment, image, files, hostKind, rootfs, readOnlyRoot, seccomp, privilegedFiles = [] }: BundleInput,
  exports: Exports,
  values: Values,
): { own: RuntimeConfiguration; volumes: readonly Volume[]; notices: readonly string[] } {
  const source = exports.configuration
  if (source === undefined) {
    // A tree of the user's own is not to be written to by a container that nobody has said may do so.
    const readOnly = readOnlyRoot !== undefined || rootfs !== undefined
    const { configuration, volumes, notices } = defaultConfiguration(image, files, {
      volumes: volumesFolder(deployment, values),
      readOnly,
      seccomp: seccomp?.(),
      privilegedFiles,
      hostKind,
    })
    return { own: configuration, volumes, notices }
  }
  const [json, file] =
    source.kind === 'file'
      ? [readJsonFile(source.text, source.file, { code: 'configuration' }), source.file]
      : [renderJsonTemplate(source.template, values), source.template.file]
  const own = parseRuntimeConfiguration(json, file)
  refuseNestedSources(own)
  if (readOnlyRoot === 'asked' && own.root.readonly !== true) {
    throw new ForerunError('usage', `--read-only cannot be had: '${file}' of the image asks for a writable root`, {
      hint: 'Leave out --read-only, or have the image built anew.',
    })
  }
  if (own.process.terminal !== true) return { own, volumes: [], notices: [] }
  const notice = `'${file}' asks for a terminal, which a service does not have: the journal takes its output instead`
  return { own: withoutTerminal(own), volumes: [], notices: [notice] }
}

function volumesFolder({ name }: Deployment, values: Values): string {
  return posix.join(values.get('STATE_DIRECTORY') ?? '', name)
}

/** The unit of ours has one variable more than an image's own: STOP_SIGNAL. */
function unitText({ image }: BundleInput, exports: Exports, values: Values): string {
  if (exports.unit !== undefined) return renderUnitTemplate(exports.unit, values)
  return renderUnitTemplate(defaultUnit, new Map([...values, ['STOP_SIGNAL', stopSignal(image.config.stopSignal)]]))
}

/** A tree of `--rootfs` is named itself, since runtimes refuse a root that is a symbolic link. */
function withRoot(configuration: RuntimeConfiguration, rootfs: string | undefined): RuntimeConfiguration {
  return rootfs === undefined ? configuration : { ...configuration, root: { ...configuration.root, path: rootfs } }
}

function rootMount(
  { deployment, rootfs, overlay }: BundleInput,
  { root }: RuntimeConfiguration,
  { manifest }: Exports,
): MountUnit | undefined {
  const isWritable = root.readonly !== true
  if (rootfs !== undefined || !(isWritable || overlay)) return undefined
  return renderMountUnit(deployment, {
    kind: isWritable ? 'writable' : 'read-only',
    keepChanges: isWritable && manifest.keepRootChanges,
  })
}

/**
 * The image's lines, or else lines for absent sources of bind mounts; before them those for volumes, which no template
 * knows. Of two lines for one path systemd takes the first, and the folder of the volumes has to be root's alone: a set-uid
 * file that a container makes in a volume would else serve every user of the host.
 */
function tmpfilesText(
  { deployment, hostKind }: BundleInput,
  parts: {
    template: Template | undefined
    configuration: RuntimeConfiguration
    hostFiles: readonly HostFile[]
    volumes: readonly Volume[]
    values: Values
  },
): string {
  const folder = { path: volumesFolder(deployment, parts.values), mode: 0o700, uid: 0, gid: 0 }
  const directories = parts.volumes.map((volume) => ({ ...volume, path: volume.source }))
  const volumes = directories.length === 0 ? [] : [folder, ...directories].map(directoryLine)
  if (parts.template !== undefined) {
    const rendered = renderTmpfilesTemplate(parts.template, parts.values)
    return [...volumes, rendered].join('\n')
  }
  // systemd makes that of the credentials at each start.
  const made = new Set([...directories.map(({ path }) => path), credentialsFolder(deployment.name)])
  const brought = installedKind(hostKind, { hostFiles: parts.hostFiles, tmpfiles: '' })
  const sources = sourceLines(parts.configuration.mounts ?? [], {
    exists: (path) => made.has(path) || brought(path) !== undefined,
    owner: deployment.owner ?? { uid: 0, gid: 0 },
  })
  return [...volumes, ...sources].map((line) => `${line}\n`).join('')
}
