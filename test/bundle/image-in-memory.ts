import { posix } from 'node:path'
import type { ExportedFile, ImageFiles } from '../../src/bundle/image-files.ts'
import type { ImageConfiguration } from '../../src/image/configuration.ts'

/** An image of a few text files, without links. Directories are named with a slash at the end, or implied by their files. */
export function imageFiles(
  content: Record<string, string | Buffer | { mode: number; uid: number; gid: number }>,
): ImageFiles {
  const exported: ExportedFile[] = []
  for (const [path, value] of Object.entries(content)) {
    if (!path.startsWith('/exports/hostfs/')) continue
    const relative = path.slice('/exports/hostfs/'.length)
    if (relative.endsWith('/'))
      exported.push({ kind: 'directory', path: relative.slice(0, -1), mode: 0o755, uid: 0, gid: 0 })
    else if (typeof value === 'string' && value.startsWith('-> '))
      exported.push({ kind: 'symlink', path: relative, target: value.slice(3), mode: 0o777, uid: 0, gid: 0 })
    else exported.push({ kind: 'file', path: relative, mode: 0o755, uid: 0, gid: 0 })
  }
  return {
    read(path) {
      const value = content[path]
      return typeof value === 'string' ? Buffer.from(value) : Buffer.isBuffer(value) ? value : undefined
    },
    stat(path) {
      const directory = content[`${path}/`]
      if (typeof directory === 'object' && 'mode' in directory) return { kind: 'directory', ...directory }
      return path in content ? { kind: 'file', mode: 0o644, uid: 0, gid: 0 } : undefined
    },
    realPath: (path) => posix.resolve('/', path),
    hostFiles: () => exported,
  }
}

export function imageConfiguration(config: Partial<ImageConfiguration['config']> = {}): ImageConfiguration {
  return {
    architecture: 'amd64',
    os: 'linux',
    config: {
      user: '',
      exposedPorts: [],
      env: [],
      entrypoint: [],
      cmd: [],
      volumes: [],
      workingDir: '',
      labels: {},
      ...config,
    },
    diffIds: [],
  }
}
