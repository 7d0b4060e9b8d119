import { unlinkSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { reachWithoutLinks } from '../host/folder-without-links.ts'
import type { PlacedFile } from '../host/placed-file.ts'
import { containerNames, currentFolder, type Deployment, deploymentFolders, readInfo } from '../store/deployment.ts'
import { digestOfFile, isPresent, linkTarget, removeEmptyDirectory } from '../transaction/files.ts'
import { readTrials } from '../transaction/transaction.ts'
import type { Context } from './context.ts'
import { placedFiles } from './placed-files.ts'

/**
 * What containers beside these placed, and will find there again: of one that is on trial that is also what it may be taken back to.
 * The host must be locked.
 */
export function filesOfOthers(containers: readonly string[], { paths, emit }: Context): Set<string> {
  const onTrial = new Set(readTrials(paths.journal).map(({ trial }) => trial.container))
  const names = containerNames(paths.containers).filter((name) => !containers.includes(name))
  const deployments = names.flatMap((name) =>
    foldersThatCount(name, onTrial.has(name), paths.containers).flatMap((folder) => {
      try {
        return { name, info: readInfo(folder) }
      } catch (error) {
        if (!(error instanceof ForerunError)) throw error
        emit({ type: 'notice', message: `${error.message}: what ${name} shares with other containers is not known` })
        return []
      }
    }),
  )
  return new Set(
    deployments.flatMap((deployment) => [
      ...placedFiles(deployment, paths).map(({ path }) => path),
      ...deployment.info.forerun['tmpfiles-made'],
    ]),
  )
}

/** A rollback places anew what it needs. */
function foldersThatCount(name: string, isOnTrial: boolean, containers: string): string[] {
  const all = deploymentFolders(containers, name)
  const current = currentFolder(containers, name)
  return isOnTrial ? all : all.filter((folder) => folder === current)
}

/**
 * Removes the host files of a deployment that was taken back, where no container needs them any more: it may have shared them with
 * one that went meanwhile. What has been modified stays. The host must be locked.
 */
export function removeUnneeded(deployment: Deployment, context: Context): void {
  const needed = filesOfOthers([], context)
  for (const file of placedFiles(deployment, context.paths).toReversed()) {
    if (file.role !== 'host' || needed.has(file.path)) continue
    // A container may have put links in place of the folders above it.
    using reached = reachWithoutLinks(file.path)
    if (reached === undefined || !isPresent(reached.path)) continue
    if (file.kind === 'directory') removeEmptyDirectory(reached.path)
    else if (isAsPlaced(file, reached.path)) unlinkSync(reached.path)
  }
}

function isAsPlaced(file: PlacedFile, path: string): boolean {
  if (file.kind === 'symlink') return linkTarget(path) === file.target
  return file.kind === 'file' && digestOfFile(path) === file.digest
}
