import { existsSync } from 'node:fs'
import { tmpfilesPaths } from '../../bundle/tmpfiles.ts'
import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import {
  type Deployment,
  keptRoot,
  otherDeployment,
  placedContentPath,
  readDeployment,
} from '../../store/deployment.ts'
import type { OpenTrial } from '../../transaction/transaction.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { placedFiles } from '../placed-files.ts'
import { carryOut, judgeOwn } from '../trials.ts'
import { singleDeparture } from './departure.ts'
import { absentPaths, tmpfilesCopy } from './deployment-plan.ts'
import { hostView } from './host-view.ts'
import type { PlannedFile } from './plan-files.ts'
import { findRuntime } from './runtime.ts'
import { requireDeployment } from './service.ts'
import { tellKept } from './tell-kept.ts'
import { tellPutBack, tellRolledBack } from './tell-update.ts'
import { type Arrival, transitionChanges } from './transition.ts'

export interface RollbackResult {
  readonly name: string
  readonly image: string
  /** Ids of the images that it went from and to. */
  readonly from: string
  readonly to: string
  /** Whether the service runs now. */
  readonly running: boolean
  readonly kept: readonly string[]
}

/**
 * Takes a container to its other deployment: the one before the last update, or, after a rollback, the one that was updated to.
 * A service that does not stay up as it has to is put back as it was.
 *
 * @throws ForerunError `container-not-found`, `no-deployment`.
 */
export async function rollback(
  name: string,
  options: { readonly settle?: number | undefined },
  context: Context,
): Promise<RollbackResult> {
  const { trial, ...result } = await switchBack(name, options, context)
  const { image, from, to } = result
  const about = { name, image, from, to }
  if (trial !== undefined) await judgeOwn(trial, context).catch((error) => tellPutBack(about, error))
  await tellRolledBack(about)
  return result
}

async function switchBack(
  name: string,
  options: { readonly settle?: number | undefined },
  context: Context,
): Promise<RollbackResult & { trial: OpenTrial | undefined }> {
  const { settle = context.settings.update.settle } = options
  const title = `rollback ${name}`
  let pending: Deployment | undefined
  const onGivenUp = (): void => {
    pending = readDeployment(context.paths.containers, name)
  }
  using _host = await lockHost(title, context, [name], { onGivenUp })
  const before = requireDeployment(name, context)
  // It has not run yet, and was taken back for this command.
  if (pending !== undefined) {
    const { image, revision: to } = before.info
    return { name, image, from: pending.info.revision, to, running: true, kept: [], trial: undefined }
  }
  const after = otherDeployment(context.paths.containers, before)
  if (after === undefined) {
    throw new ForerunError('no-deployment', `Cannot find a previous deployment to rollback: ${name} was not updated`, {
      hint: `See what there is with: forerun containers info ${name}`,
    })
  }
  const from = await singleDeparture(before, context)
  const running = from.service?.active === true && after.info['has-container-service']
  const to = returnOf(after, { goesOn: running, context })
  const transition = transitionChanges({ from, to }, hostView([name], context))
  tellKept(transition, context)
  const trial = await carryOut({ title, containers: [name] }, transition.changes, {
    trial: running ? { container: name, awaits: 'start', settle } : undefined,
    context,
  })
  const { image, revision } = after.info
  return { name, image, from: before.info.revision, to: revision, running, kept: transition.kept, trial }
}

/** A deployment that lies in its folder already. @throws ForerunError `runtime`, `no-deployment`. */
function returnOf(deployment: Deployment, { goesOn, context }: { goesOn: boolean; context: Context }): Arrival {
  const { name, folder, info } = deployment
  const files = placedFiles(deployment, context.paths).map((file) => withContent(file, deployment))
  const runtime = info['has-container-service'] ? findRuntime(info.runtime) : info.runtime
  const tmpfiles = readWhenPresent(tmpfilesCopy(name, folder))?.toString()
  const service = {
    unit: unitName(name),
    container: { name, runtime },
    mountUnit: info.forerun.overlay?.['mount-unit'],
    tmpfiles:
      tmpfiles === undefined
        ? undefined
        : { file: tmpfilesCopy(name, folder), absent: absentPaths(tmpfilesPaths(tmpfiles)) },
    volumes: [],
    goesOn,
    keptRoot: keptRoot(deployment),
  }
  return { name, folder, staged: undefined, files, service: info['has-container-service'] ? service : undefined }
}

function withContent(file: PlacedFile, { name, folder }: Deployment): PlannedFile {
  if (file.kind !== 'file') return file
  const path = placedContentPath(folder, file.digest)
  if (existsSync(path)) return { ...file, content: { copyOf: path } }
  throw new ForerunError('no-deployment', `the deployment in '${folder}' lacks the content of '${file.path}'`, {
    hint: `An older forerun made it. Go on with: forerun update ${name} --rebase IMAGE`,
  })
}
