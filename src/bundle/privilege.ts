/** What a container, or its unit, may do beyond its own files. */
export interface Privilege {
  readonly kind: PrivilegeKind
  /**
   * What it is, for comparing deployments (`comparePrivileges`): within its kind, by words with a blank between them. It names no
   * slot of a deployment.
   */
  readonly key: string
  /** For people: a short part of a sentence, with words of the image in it as they are. */
  readonly text: string
  /** `power`: over the host, or over what others run on it. */
  readonly weight: PrivilegeWeight
  /** Of a filter of system calls. */
  readonly calls?: AllowedCalls
}

/** A privilege as it is told, without the list of calls that comparing needs. */
export type ToldPrivilege = Omit<Privilege, 'calls'>

export function toldPrivilege({ calls: _, ...told }: Privilege): ToldPrivilege {
  return told
}

export type PrivilegeWeight = 'power' | 'ordinary'

export type PrivilegeKind =
  | 'annotation'
  | 'capability'
  | 'dependency'
  | 'device'
  | 'host-command'
  | 'hook'
  | 'kernel-path'
  | 'mount'
  | 'namespace'
  | 'no-new-privileges'
  | 'rlimit'
  | 'scheduling'
  | 'seccomp'
  | 'security-module'
  | 'sysctl'
  | 'tmpfiles'
  | 'unit-setting'
  | 'user'

/** Calls by name; those that depend on their arguments with these in brackets. */
export interface AllowedCalls {
  /** What is done with calls that no rule names. */
  readonly others: 'allowed' | 'refused'
  /** Where others are refused. */
  readonly allowed: readonly string[]
  /** Where others are allowed. */
  readonly refused: readonly string[]
}
