import { unreadable } from './file-fault.ts'
import { type ArchiveFiles, largestDocument } from './image-parts.ts'
import { addMember, findFile, type MemberTable } from './member-table.ts'
import type { TransferContext } from './source.ts'
import { streamInput, type TarInput } from './tar-input.ts'
import { type Member, tarMembers } from './tar-members.ts'

/**
 * The files in an archive that can only be read forwards. A first pass over it learns what it holds and keeps its small documents; what else
 * is asked for is read in further passes, one for all of it when it is asked for in the archive's order. Memory holds no large file.
 *
 * @param path names the archive in errors.
 * @param options.open begins a pass: the bytes of the uncompressed archive.
 * @param options.close is called with the end.
 */
export function forwardArchive(
  path: string,
  { open, close }: { open: (context: TransferContext) => AsyncIterable<Buffer>; close: () => Promise<void> },
): ArchiveFiles {
  let scanning: Promise<Contents> | undefined
  let contents: Contents | undefined
  /** A pass that waits behind a member which was read. */
  let waiting: Pass | undefined

  async function find(name: string, context: TransferContext): Promise<Member | undefined> {
    scanning ??= scan(beginPass(path, open, context))
    contents = await scanning
    return findFile(contents.table, name, path)
  }

  async function* read(member: Member, context: TransferContext): AsyncGenerator<Buffer, void, undefined> {
    const pass = waiting !== undefined && waiting.next <= member.ordinal ? waiting : beginPass(path, open, context)
    // Whoever reads at the same time begins a pass of his own.
    if (pass === waiting) waiting = undefined
    let isRead = false
    try {
      yield* contentInPass(pass, member, path)
      isRead = true
    } finally {
      const idle = isRead ? waiting : pass
      if (isRead) waiting = pass
      await idle?.end()
    }
  }

  return {
    path,
    size: async (name, context) => (await find(name, context))?.size,
    async start(name, context) {
      const member = await find(name, context)
      return contents?.starts.get(member?.ordinal ?? -1) ?? Buffer.alloc(0)
    },
    async *read(name, context, { offset = 0 } = {}) {
      const member = await find(name, context)
      if (member === undefined) throw new Error(`${path} has no ${name}`)
      const kept = contents?.documents.get(member.ordinal)
      yield* withoutFirst(kept === undefined ? read(member, context) : [kept], offset)
    },
    forwardPosition: (name) => contents && (findFile(contents.table, name, path)?.ordinal ?? Number.MAX_SAFE_INTEGER),
    async [Symbol.asyncDispose]() {
      await waiting?.end()
      await close()
    },
  }
}

interface Pass {
  readonly input: TarInput
  readonly members: AsyncGenerator<Member, void, undefined>
  /** The ordinal of the member that comes next. */
  next: number
  end(): Promise<void>
}

function beginPass(
  path: string,
  open: (context: TransferContext) => AsyncIterable<Buffer>,
  context: TransferContext,
): Pass {
  const source = open(context)[Symbol.asyncIterator]()
  const input = streamInput(source, context)
  const members = tarMembers(input, { path, signal: context.signal })
  async function end() {
    await members.return()
    await source.return?.()
  }
  return { input, members, next: 0, end }
}

interface Contents {
  readonly table: MemberTable
  /** By ordinal: the first bytes of each file, and the whole of small ones that look like JSON. */
  readonly starts: ReadonlyMap<number, Buffer>
  readonly documents: ReadonlyMap<number, Buffer>
}

/** All of the documents that are kept; others are read again. */
const mostKept = 32 * 1024 * 1024

async function scan(pass: Pass): Promise<Contents> {
  const table: MemberTable = new Map()
  const starts = new Map<number, Buffer>()
  const documents = new Map<number, Buffer>()
  let kept = 0
  try {
    for await (const member of pass.members) {
      addMember(table, member)
      if (member.kind !== 'file') continue
      const start = await takeExactly(pass.input, Math.min(member.size, 6))
      starts.set(member.ordinal, Buffer.from(start))
      const isDocument = start[0] === 0x7b || start[0] === 0x5b
      if (!isDocument || member.size > largestDocument || kept + member.size > mostKept) continue
      kept += member.size
      const rest = await takeExactly(pass.input, member.size - start.length)
      documents.set(member.ordinal, Buffer.concat([start, rest]))
    }
  } finally {
    await pass.end()
  }
  return { table, starts, documents }
}

/** Fewer at the end of the archive, which the members then tell. */
async function takeExactly(input: TarInput, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let left = bytes; left > 0; ) {
    const part = await input.take(left)
    if (part === undefined) break
    parts.push(part)
    left -= part.length
  }
  return Buffer.concat(parts)
}

async function* contentInPass(pass: Pass, wanted: Member, path: string): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const { done, value: member } = await pass.members.next()
    if (done === true) throw changed(path)
    pass.next = member.ordinal + 1
    if (member.ordinal < wanted.ordinal) continue
    if (member.name !== wanted.name || member.size !== wanted.size) throw changed(path)
    break
  }
  for (let left = wanted.size; left > 0; ) {
    const bytes = await pass.input.take(left)
    if (bytes === undefined) throw changed(path)
    left -= bytes.length
    yield bytes
  }
}

function changed(path: string): Error {
  return unreadable(path, 'changed while it was read', { hint: 'Try again when nobody writes to it.' })
}

async function* withoutFirst(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  bytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  let left = bytes
  for await (const piece of source) {
    if (left < piece.length) yield left === 0 ? piece : piece.subarray(left)
    left = Math.max(0, left - piece.length)
  }
}
