import { dirname } from 'node:path/posix'
import { shownWords } from '../image/reference.ts'
import { unreadable } from './file-fault.ts'
import { type Member, memberName } from './tar-members.ts'

/** The members of an archive by name; of several of one name the last, as tar unpacks them. */
export type MemberTable = Map<string, Member>

export function addMember(table: MemberTable, member: Member): void {
  if (member.name !== undefined) table.set(member.name, member)
}

/**
 * The regular file of a name; undefined when there is none. Links are followed within the archive: in those of `docker save` up to
 * version 24, a layer that an image has twice is once a link.
 *
 * @throws ForerunError `archive` for links that lead nowhere or in circles, and for what is no file.
 */
export function findFile(table: MemberTable, name: string, path: string): Member | undefined {
  let member = table.get(name)
  for (let links = 0; member !== undefined && member.kind !== 'file'; links++) {
    if (member.kind === 'other') throw unreadable(path, `has ${shownWords(name)}, which is no regular file`)
    if (links > mostLinks) throw unreadable(path, `has ${shownWords(name)}, a link that leads in circles`)
    const target = linkTarget(member)
    member = target === undefined ? undefined : table.get(target)
    if (member === undefined) throw unreadable(path, `has ${shownWords(name)}, a link to what it does not hold`)
  }
  return member
}

const mostLinks = 8

/** A symbolic link is relative to its folder, a hard link to the archive. */
function linkTarget({ name = '', kind, target }: Member): string | undefined {
  if (kind === 'link') return memberName(target)
  return target.startsWith('/') ? undefined : memberName(`${dirname(name)}/${target}`)
}
