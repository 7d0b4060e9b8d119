import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { grantableCapabilities } from '../../bundle/capabilities.ts'
import { type RunOnceConfiguration, runOnceConfiguration } from '../../bundle/run-once-configuration.ts'
import { ForerunError } from '../../errors.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { hostKind } from '../../host/host-kind.ts'
import { securityModules } from '../../host/security-modules.ts'
import { type ContainerName, parseContainerName } from '../../image/container-name.ts'
import { defaultContainerName, type ImageLocation, parseLocation } from '../../image/location.ts'
import { readDeployment } from '../../store/deployment.ts'
import { copySecurityLabel } from '../../store/security-label.ts'
import { addMountPoint } from '../../tree/mount-point.ts'
import { privilegedFiles } from '../../tree/privileged-files.ts'
import { checkOutInThreads } from '../../workers/check-out-in-threads.ts'
import type { Context, SourceOptions } from '../context.ts'
import { type OneOff, openOneOff } from '../one-off.ts'
import { type GivenValues, givenValues } from './given-values.ts'
import { hostSeccomp } from './host-seccomp.ts'
import { type InstallableImage, installableImage, storedInstallableImage } from './installable-image.ts'
import { lockedImage } from './locked-image.ts'
import { runOneOff } from './run-one-off.ts'
import { findRuntime } from './runtime.ts'

export interface RunOnceRequest extends SourceOptions {
  readonly image: string
  /** The command; none: that of the image. */
  readonly words?: readonly string[]
  /** What its container is called; default: the image's name, with something that no other has. */
  readonly name?: string
  /** `KEY=VALUE` words. */
  readonly set?: readonly string[]
  /** `KEY=PATH` words: the value is the content of a file. */
  readonly setFile?: readonly string[]
  readonly runtime?: string
}

/** What the words of a request mean. */
interface ParsedRequest {
  readonly location: ImageLocation
  readonly words: readonly string[]
  /** The value of `$NAME`. */
  readonly name: ContainerName
  readonly id: ContainerName
  readonly given: GivenValues
  readonly runtime: string
  readonly sourceOptions: SourceOptions
}

/**
 * Runs an image once, in the foreground: pulls it unless it is stored, makes a checkout that can be written to, runs it with the
 * terminal of this process where there is one, and removes all that it was. Nothing is locked while it runs.
 *
 * @returns the exit status of its command; 128 plus the signal's number when a signal ended it.
 * @throws ForerunError `variable`, `name`, `runtime`, `systemd`; as `installableImage`, `runOnceConfiguration` and `runOneOff`.
 */
export async function runOnce(request: RunOnceRequest, context: Context): Promise<number> {
  const parsed = parseRequest(request, context)
  // A host without systemd is told so before the download.
  await context.manager()
  refuseTaken(parsed, context)
  const { id, runtime, words } = parsed
  await using released = new AsyncDisposableStack()
  const { oneOff, configuration } = await prepare(parsed, released, context)
  const sourceHint = `Make it, or name another with --set: ${runtime} would not start ${id} without it.`
  return await runOneOff(oneOff, { configuration, bundle: oneOff.folder, words, sourceHint }, context.signal)
}

function parseRequest(request: RunOnceRequest, context: Context): ParsedRequest {
  const location = parseLocation(request.image)
  const name = parseContainerName(request.name ?? defaultContainerName(location))
  return {
    location,
    words: request.words ?? [],
    name,
    id: request.name === undefined ? parseContainerName(`${name}-run-${randomBytes(4).toString('hex')}`) : name,
    given: givenValues(request),
    runtime: findRuntime(request.runtime ?? context.settings.runtime.path),
    sourceOptions: request,
  }
}

/** The service of a container that has this name could not start meanwhile. */
function refuseTaken({ id, name }: ParsedRequest, { paths }: Context): void {
  if (id !== name || readDeployment(paths.containers, name) === undefined) return
  throw new ForerunError('name', `there is a container '${name}' already`, {
    hint: `Choose another name with --name; to run a command in that container: forerun run ${name} COMMAND`,
  })
}

/** The store stays as it is until the checkout is made. */
async function prepare(
  parsed: ParsedRequest,
  released: AsyncDisposableStack,
  context: Context,
): Promise<{ oneOff: OneOff; configuration: RunOnceConfiguration['configuration'] }> {
  const wanted = { ...parsed, rootfs: undefined, runsOnce: true }
  const find = {
    stored: () => storedInstallableImage(wanted, context),
    fetched: () => installableImage(wanted, context),
  }
  using locked = await lockedImage(`run ${parsed.name}`, find, context)
  const oneOff = released.use(await openOneOff({ id: parsed.id, runtime: parsed.runtime }, context))
  const { configuration, mountPoints, notices } = configurationOf(locked.image, parsed, oneOff)
  for (const message of notices) context.emit({ type: 'notice', message })
  const { tree } = locked.image
  for (const { path, kind } of mountPoints) addMountPoint(tree, path, kind)
  const target = join(oneOff.folder, 'rootfs')
  try {
    await checkOutInThreads(context.paths.store, tree, { target, method: 'auto', shared: false }, context)
  } catch (error) {
    throw namingFullDisk(error, context.paths.containers)
  }
  if (securityModules().selinux) copySecurityLabel('/', target)
  return { oneOff, configuration }
}

/** A command in place of the image's own takes the place of its entrypoint, too, and an image may have neither. */
function configurationOf(
  image: InstallableImage,
  { name, runtime, given, words }: ParsedRequest,
  { folder }: OneOff,
): RunOnceConfiguration {
  const { configuration } = image
  const command = words.length === 0 ? {} : { entrypoint: [], cmd: words }
  return runOnceConfiguration({
    deployment: {
      name,
      destination: folder,
      imageId: image.id,
      imageName: image.name,
      runtime,
      program: '/usr/bin/forerun',
      uuid: randomUUID(),
      capabilities: grantableCapabilities(),
    },
    image: { ...configuration, config: { ...configuration.config, ...command } },
    files: image.files,
    ...given,
    hostKind,
    securityModules: securityModules(),
    seccomp: hostSeccomp,
    privilegedFiles: privilegedFiles(image.tree),
    overlay: false,
  })
}
