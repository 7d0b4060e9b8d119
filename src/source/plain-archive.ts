import type { FileHandle } from 'node:fs/promises'
import { readAt, readRange } from './file-range.ts'
import type { ArchiveFiles } from './image-parts.ts'
import { addMember, findFile, type MemberTable } from './member-table.ts'
import type { TransferContext } from './source.ts'
import { fileInput } from './tar-input.ts'
import { type Member, tarMembers } from './tar-members.ts'

/** The files in an archive that is not compressed, in any order and side by side. `close` is called with the end. */
export function plainArchive(file: FileHandle, path: string, { close }: { close: () => Promise<void> }): ArchiveFiles {
  let scanning: Promise<MemberTable> | undefined

  async function find(name: string, { signal }: TransferContext): Promise<Member | undefined> {
    scanning ??= scan(file, path, signal)
    return findFile(await scanning, name, path)
  }

  async function present(name: string, context: TransferContext): Promise<Member> {
    const member = await find(name, context)
    if (member === undefined) throw new Error(`${path} has no ${name}`)
    return member
  }

  return {
    path,
    size: async (name, context) => (await find(name, context))?.size,
    async start(name, context) {
      const { offset, size } = await present(name, context)
      return readAt(file, path, { position: offset, length: Math.min(size, 6) })
    },
    async *read(name, context, { offset: from = 0 } = {}) {
      const { offset, size } = await present(name, context)
      yield* readRange(file, path, { start: offset + from, end: offset + size })
    },
    forwardPosition: () => undefined,
    [Symbol.asyncDispose]: close,
  }
}

async function scan(file: FileHandle, path: string, signal: AbortSignal): Promise<MemberTable> {
  const table: MemberTable = new Map()
  const { size } = await file.stat()
  for await (const member of tarMembers(fileInput(file, path, { size }), { path, signal })) addMember(table, member)
  return table
}
