import { linkSync, lstatSync, mkdirSync, mkdtempSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { tmpfilesPath, unitName, unitPath } from '../../host/paths.ts'
import { removeTree } from '../../host/remove-tree.ts'
import { foreignPart } from '../../host/root-only.ts'
import { parseContainerName } from '../../image/container-name.ts'
import { parseLocation } from '../../image/location.ts'
import {
  type AtomicContainer,
  type AtomicDeployment,
  atomicCheckouts,
  readAtomicContainer,
  surveyAtomicContainers,
} from '../../store/atomic-containers.ts'
import { allDeploymentFolders, containerNames, type Deployment, readInfo } from '../../store/deployment.ts'
import { isPresent } from '../../transaction/files.ts'
import { changeHost } from '../change-host.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut } from '../trials.ts'
import { unfinishedPrefix } from '../unfinished.ts'
import { adoptionChanges } from './adoption-changes.ts'
import { adoptedDeployment, rewriter, rewrittenFile } from './adoption-plan.ts'
import { tmpfilesCopy } from './deployment-plan.ts'

/** What became of one container. */
export type AdoptionResult = { readonly name: string } & (
  | {
      readonly outcome: 'adopted'
      readonly image: string
      /** The deployment in use. */
      readonly folder: string
      /** Whether a rollback has where to go. */
      readonly canRollBack: boolean
      /** Whether the service runs; it is the very one that ran before. */
      readonly running: boolean
    }
  /** A container of forerun already. */
  | { readonly outcome: 'present' }
  /** With all containers. */
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string }
)

/**
 * Takes over containers that Project Atomic's tool installed: their deployments become deployments of forerun, and links are left in
 * their old place. Services run on as they do, nothing is fetched, and the ostree repository is not touched. All or nothing for
 * each container; with all, a failure of one does not keep the others back.
 *
 * @param names all containers when there are none.
 * @throws ForerunError `container-not-found`; for a single name what fails; `permission` for another user than root.
 */
export async function adoptContainers(names: readonly string[], context: Context): Promise<AdoptionResult[]> {
  using _host = await lockHost('containers adopt', context)
  const { paths } = context
  const checkouts = atomicCheckouts(paths.atomicSettings)
  refuseForeign([paths.atomicSettings, checkouts])
  const all = surveyAtomicContainers(checkouts, paths.containers).map(({ name }) => name)
  const results: AdoptionResult[] = []
  for (const name of new Set(names.length === 0 ? all : names)) {
    try {
      results.push(await adoptContainer(name, checkouts, context))
    } catch (error) {
      if (names.length === 1 || !(error instanceof ForerunError) || error.code === 'interrupted') throw error
      results.push({ name, outcome: 'failed', code: error.code, reason: error.message })
    }
  }
  return results
}

async function adoptContainer(name: string, checkouts: string, context: Context): Promise<AdoptionResult> {
  const { paths, emit } = context
  const isOwn = containerNames(paths.containers).includes(parseContainerName(name))
  const found = readAtomicContainer(checkouts, name, { own: paths.containers })
  if (found === undefined) {
    if (isOwn) return { name, outcome: 'present' }
    throw new ForerunError('container-not-found', `there is no container '${name}' in '${checkouts}'`, {
      hint: 'List what can be taken over with: forerun containers list --all',
    })
  }
  if (isOwn) {
    throw new ForerunError('file-exists', `forerun has a container '${name}' of its own`, {
      hint: `Uninstall one of the two; that of Project Atomic's tool lies in '${found.current.folder}'.`,
    })
  }
  const deployments = deploymentsOf(found)
  for (const deployment of deployments) refuseUnsafe(deployment)
  refuseSharedRoot(found, checkouts, context)
  await refuseOtherFileSystem(deployments, context)
  const left = [...deployments.map(({ folder }) => folder), join(checkouts, name)]
  const plan = async (deployment: AtomicDeployment) => {
    const folder = join(paths.containers, basename(deployment.folder))
    return adoptedDeployment(deployment, {
      ...{ folder, left, context },
      isCurrent: deployment === found.current,
      purpose: 'adopt',
    })
  }
  const current = await plan(found.current)
  const other = found.other && (await plannedOrTold(found.other, plan, context))
  tellOf(found, other === undefined ? [current] : [current, other], context)
  const rewrite = rewriter(found.current, current.folder)
  const onHost = [unitPath(paths, name), tmpfilesPath(paths, name)].flatMap(
    (path) => rewrittenFile(path, rewrite) ?? [],
  )
  const hasService = current.info['has-container-service']
  const running = hasService && (await changeHost(context).isActive(unitName(name)))
  if (hasService && !isPresent(unitPath(paths, name))) {
    emit({ type: 'notice', message: `${unitPath(paths, name)} is missing. An update, or a rollback, puts it there.` })
  }
  const changes = adoptionChanges({ name, checkouts, containers: paths.containers, current, other, onHost })
  await carryOut({ title: `containers adopt ${name}`, containers: [name] }, changes, { trial: undefined, context })
  const { image } = current.info
  return { name, outcome: 'adopted', image, folder: current.folder, canRollBack: other !== undefined, running }
}

/** A deployment that a rollback cannot go to stays where it is. */
async function plannedOrTold<Plan>(
  other: AtomicDeployment,
  plan: (deployment: AtomicDeployment) => Promise<Plan>,
  { emit }: Context,
): Promise<Plan | undefined> {
  try {
    return await plan(other)
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
    emit({ type: 'notice', message: `${error.message}: it stays there, and there is nothing to roll back to` })
    return undefined
  }
}

/** Where somebody else than root could change what is taken over, it would be theirs to decide what root runs. */
function refuseForeign(paths: readonly string[]): void {
  for (const path of paths) {
    const foreign = foreignPart(path)
    if (foreign === undefined) continue
    throw new ForerunError('store', `'${path}' is not taken over: '${foreign.path}' ${foreign.reason}`, {
      hint: `See that its content is right, then give it to root alone: chown root ${foreign.path} && chmod go-w ${foreign.path}`,
    })
  }
}

function deploymentsOf({ current, other }: AtomicContainer): AtomicDeployment[] {
  return other === undefined ? [current] : [current, other]
}

function refuseUnsafe({ name, folder }: AtomicDeployment): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new ForerunError('store', `'${folder}' is no folder`, {
      hint: 'A deployment that is a link to another place cannot be taken over.',
    })
  }
  const files = ['info', 'config.json', `${name}.service`].map((file) => join(folder, file))
  refuseForeign([folder, ...files, tmpfilesCopy(name, folder)])
}

/** A root that another container uses by `--rootfs` must not move: runtimes refuse one behind a link. */
function refuseSharedRoot(container: AtomicContainer, checkouts: string, context: Context): void {
  const { paths } = context
  const { name, current } = container
  const moving = [...deploymentsOf(container).map(({ folder }) => folder), join(checkouts, name)]
  const others = surveyAtomicContainers(checkouts, paths.containers).flatMap((each) =>
    'current' in each && each.name !== name ? deploymentsOf(each) : [],
  )
  const own = allDeploymentFolders(paths.containers).flatMap((folder) => readableInfo(folder, context))
  const user = [...others, ...own].find(({ info: { remote } }) =>
    moving.some((folder) => remote === folder || remote?.startsWith(`${folder}/`)),
  )
  if (user === undefined) return
  throw new ForerunError('rootfs', `'${current.folder}' cannot move: it is the root of '${user.folder}', too`, {
    hint: 'Uninstall the container that uses it, or install that one without --rootfs.',
  })
}

/** A damaged deployment of forerun keeps no other container from being taken over. */
function readableInfo(folder: string, { emit }: Context): Pick<Deployment, 'folder' | 'info'>[] {
  try {
    return [{ folder, info: readInfo(folder) }]
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    emit({ type: 'notice', message: `${error.message}: what root it uses is not known` })
    return []
  }
}

/** A running container goes on in its root wherever that is moved to, on the same file system. A hard link tells, whatever is mounted. */
async function refuseOtherFileSystem(deployments: readonly AtomicDeployment[], { paths }: Context): Promise<void> {
  mkdirSync(paths.containers, { recursive: true, mode: 0o700 })
  const trial = mkdtempSync(join(paths.containers, unfinishedPrefix))
  try {
    for (const [index, { folder }] of deployments.entries()) {
      linkSync(join(folder, 'info'), join(trial, `${index}`))
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause
    const places = `'${deployments.map(({ folder }) => folder).join("' and '")}'`
    throw new ForerunError('checkout', `${places} and '${paths.containers}' are on different file systems`, {
      hint: 'Set [containers] path in forerun.conf to a folder beside it. Containers that are installed already would not be found there.',
      cause,
    })
  } finally {
    await removeTree(trial)
  }
}

function tellOf(
  { current, otherProblem }: AtomicContainer,
  adopted: readonly { folder: string; unknown: readonly string[] }[],
  { emit }: Context,
): void {
  const { name, info } = current
  const tell = (message: string): void => emit({ type: 'notice', message })
  if (otherProblem !== undefined) tell(`${otherProblem.message}: it stays there, and there is nothing to roll back to`)
  if (info['rpm-installed'] !== null) {
    tell(`Host files of ${name} are of the package ${info['rpm-installed']}, which stays when ${name} is uninstalled.`)
  }
  for (const { folder, unknown } of adopted) {
    for (const path of unknown)
      tell(`${path} is left alone by ${basename(folder)}: what was installed is not known any more`)
  }
  if (!isOfRegistry(info.image)) {
    tell(`'${info.image}' is in no registry. Update ${name} with: forerun update --rebase IMAGE ${name}`)
  }
}

function isOfRegistry(image: string): boolean {
  try {
    return parseLocation(image).transport === 'docker'
  } catch (error) {
    if (error instanceof ForerunError) return false
    throw error
  }
}
