import { randomBytes } from 'node:crypto'
import { lstatSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, open as openFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { syncDirectory } from '../../host/durable-file.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { shownWords } from '../../image/reference.ts'
import { checkInterrupted } from '../file-fault.ts'
import type { TransferContext } from '../source.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-header.ts'

/** A tar archive in the making, under a name of its own beside the one that it gets in the end. */
export interface NewArchive {
  /**
   * Appends a file, unless it is there; one after the other, whoever asks. One whose content throws leaves nothing.
   *
   * @returns whether it was not there yet.
   */
  append(member: NewMember, context: TransferContext): Promise<boolean>
  /** Makes the archive durable, and then gives it its name. */
  finish(): Promise<void>
  /** Removes what has not been finished. */
  close(): Promise<void>
}

export interface NewMember {
  readonly name: string
  /** Bytes, exactly as many as `open` gives. */
  readonly size: number
  open(): AsyncIterable<Buffer> | Iterable<Buffer>
}

/**
 * Nothing is made before the first file. A file that has the name already is not overwritten, unless it is empty.
 *
 * Errors are ForerunErrors `file-exists`, `archive`, `disk-full`, `interrupted`, and what the content throws.
 */
export function newArchive(path: string): NewArchive {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  const written = new Set<string>()
  let file: FileHandle | undefined
  let turn: Promise<unknown> = Promise.resolve()

  async function appendNext({ name, size, open }: NewMember, context: TransferContext): Promise<boolean> {
    if (written.has(name)) return false
    checkInterrupted(context)
    file ??= await begin(path, temporary)
    const start = (await file.stat()).size
    try {
      await file.writeFile(tarHeader(name, size))
      for await (const bytes of open()) {
        checkInterrupted(context)
        await file.writeFile(bytes)
      }
      await file.writeFile(Buffer.alloc(tarPadding(size)))
    } catch (error) {
      // What is written next takes its place.
      await file.truncate(start)
      throw namingFullDisk(error, dirname(path))
    }
    written.add(name)
    return true
  }

  return {
    append(member, context) {
      const result = turn.then(() => appendNext(member, context))
      turn = result.catch(() => {})
      return result
    },
    async finish() {
      if (file === undefined) throw new Error('an archive of nothing')
      await file.writeFile(tarEnd)
      await file.sync()
      checkFree(path)
      renameSync(temporary, path)
      syncDirectory(dirname(path))
    },
    async close() {
      await turn
      await file?.close()
      if (file !== undefined) rmSync(temporary, { force: true })
    },
  }
}

/** Bytes are always written at its end, wherever that is. */
async function begin(path: string, temporary: string): Promise<FileHandle> {
  checkFree(path)
  try {
    return await openFile(temporary, 'ax', 0o644)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause
    throw new ForerunError('archive', `there is no folder '${shownWords(dirname(path))}'`, {
      hint: 'Make it, or write the archive elsewhere.',
      cause,
    })
  }
}

function checkFree(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there === undefined || (there.isFile() && there.size === 0)) return
  throw new ForerunError('file-exists', `'${shownWords(path)}' is there already`, {
    hint: 'Remove it first, or write the archive under another name. To add an image, push to a layout: oci:DIR:NAME.',
  })
}
