import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, constants as fsConstants, openSync } from 'node:fs'
import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import type { Readable } from 'node:stream'
import { ForerunError } from '../errors.ts'
import { findProgram, programFolders } from './find-program.ts'
import { type Environment, ownEnvironment } from './own-environment.ts'

export interface RunOptions {
  /** Milliseconds after which the program, and what it has started, is killed. */
  readonly timeout: number
  /** Ends the program: SIGTERM, and half a second later SIGKILL. */
  readonly signal?: AbortSignal | undefined
  /** What it reads from standard input. Default: nothing. */
  readonly input?: string | Uint8Array | undefined
  /** Default: `ownEnvironment`. `PATH` leads only to where `findProgram` looks. */
  readonly environment?: Environment | undefined
  /** Bytes of standard output, and of descriptor 3. Default: one megabyte. */
  readonly outputLimit?: number
  /** Whether descriptor 3 is a pipe, for a program that has more to say than its output. */
  readonly hasStatusPipe?: boolean
}

export interface RunResult {
  /** The exit status; 128 plus the signal's number when a signal ended it. */
  readonly status: number
  readonly stdout: Buffer
  /** Its beginning, as text: more than a megabyte is dropped. */
  readonly stderr: string
  /** What it wrote to descriptor 3. */
  readonly statusPipe: Buffer
}

export type ProgramFault = 'absent' | 'unstartable' | 'time' | 'output'

/** A program that did not come to its end; one whose exit status tells of a failure is none of these. */
export class ProgramFailure extends ForerunError {
  readonly fault: ProgramFault
  /** What it did, to be put after a name for it: `took longer than 30 s`. */
  readonly what: string

  constructor(
    program: string,
    fault: { kind: ProgramFault; what: string },
    options: { hint: string; cause?: unknown },
  ) {
    super('program', `${program} ${fault.what}`, options)
    this.fault = fault.kind
    this.what = fault.what
  }
}

/**
 * Runs a program to its end, without a shell, and in a process group of its own, so that all of it can be ended. A name is
 * looked up by `findProgram`. What it writes is kept in memory.
 *
 * @throws ProgramFailure; ForerunError `interrupted` when the signal is raised. The program has ended then.
 */
export async function run(program: string, words: readonly string[], options: RunOptions): Promise<RunResult> {
  const { environment = ownEnvironment(), signal } = options
  if (signal?.aborted) throw interrupted(program, signal)
  const path = isAbsolute(program) ? program : findProgram(program, environment.PATH)
  if (path === undefined) throw absent(program)
  return await end(start(path, words, { ...options, environment }), { program, ...options })
}

/**
 * Runs a program to its end with the input, output and terminal of this process, as a shell would. What a terminal signals
 * reaches it by itself; SIGTERM and SIGHUP of others are handed on, and SIGINT where there is no terminal that it could be of.
 *
 * @returns the exit status; 128 plus the signal's number when a signal ended it.
 * @throws ProgramFailure when it cannot be started.
 */
export async function runAttached(
  program: string,
  words: readonly string[],
  options: AttachedOptions = {},
): Promise<number> {
  const environment = ownEnvironment()
  const path = isAbsolute(program) ? program : findProgram(program, environment.PATH)
  if (path === undefined) throw absent(program)
  const child = spawn(path, words, { stdio: 'inherit', env: environment, cwd: options.folder })
  const isTyped = hasControllingTerminal()
  const handOn = (signal: AttachedSignal): void => {
    if (signal !== 'SIGINT' || !isTyped) child.kill(signal)
    options.onSignal?.(signal)
  }
  const signals: readonly AttachedSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, handOn)
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', (cause: NodeJS.ErrnoException) => reject(unstartable(program, cause)))
      child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']))
    })
  } finally {
    for (const signal of signals) process.off(signal, handOn)
  }
}

export type AttachedSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

export interface AttachedOptions {
  /** Its working directory. */
  readonly folder?: string
  /** Told of each signal that came, after the program has it. */
  readonly onSignal?: (signal: AttachedSignal) => void
}

/** Whether there is one whose keys signal this process and what it has started alike. */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', fsConstants.O_RDWR | fsConstants.O_NOCTTY))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return false
  }
}

const megabyte = 1024 * 1024

/** Milliseconds that a program has to clean up. */
const grace = 500

function start(
  path: string,
  words: readonly string[],
  options: RunOptions & { environment: Environment },
): ChildProcess {
  const { input, hasStatusPipe, environment } = options
  try {
    return spawn(path, words, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', hasStatusPipe ? 'pipe' : 'ignore'],
      env: { ...environment, PATH: programFolders(environment.PATH).join(':') },
      detached: true,
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
    throw unstartable(path, error as NodeJS.ErrnoException)
  }
}

function end(child: ChildProcess, { program, ...options }: RunOptions & { program: string }): Promise<RunResult> {
  const { signal, timeout, outputLimit = megabyte } = options
  return new Promise((resolve, reject) => {
    let failure: ForerunError | undefined
    const timers: NodeJS.Timeout[] = []
    // What has left the group may hold the other end of a pipe for ever.
    const closePipes = (): void => {
      for (const stream of child.stdio) stream?.destroy()
    }
    const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null
    const fail = (error: ForerunError, signalName: 'SIGTERM' | 'SIGKILL'): void => {
      failure ??= error
      killGroup(child, signalName)
      if (hasExited()) closePipes()
      if (signalName === 'SIGTERM') timers.push(setTimeout(killGroup, grace, child, 'SIGKILL'))
    }
    const tooLong = (): void => fail(tookTooLong(program, timeout), 'SIGKILL')
    const tooMuch = (): void => fail(wroteTooMuch(program, outputLimit), 'SIGKILL')
    const interrupt = (): void => fail(interrupted(program, signal), 'SIGTERM')
    const settle = (): void => {
      for (const timer of timers) clearTimeout(timer)
      signal?.removeEventListener('abort', interrupt)
    }
    timers.push(setTimeout(tooLong, timeout))
    signal?.addEventListener('abort', interrupt)
    const stdout = collected(child.stdout, outputLimit, tooMuch)
    const statusPipe = collected(child.stdio[3] as Readable | null, outputLimit, tooMuch)
    const stderr = collected(child.stderr, megabyte, () => {})
    child.on('error', (cause: NodeJS.ErrnoException) => {
      settle()
      reject(unstartable(program, cause))
    })
    child.on('exit', () => {
      if (failure !== undefined) closePipes()
    })
    child.on('close', (code, signalName) => {
      settle()
      if (failure !== undefined) reject(failure)
      const status = code ?? 128 + constants.signals[signalName ?? 'SIGKILL']
      const [output, text, extra] = [stdout, stderr, statusPipe].map((chunks) => Buffer.concat(chunks))
      resolve({ status, stdout: output as Buffer, stderr: String(text), statusPipe: extra as Buffer })
    })
    // It may end before it has read all: its status tells what there is to tell.
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input)
  })
}

/** Reads to the end; what is beyond the limit is dropped, and told once. */
function collected(stream: Readable | null | undefined, limit: number, onExcess: () => void): Buffer[] {
  const chunks: Buffer[] = []
  let room = limit
  stream?.on('data', (chunk: Buffer) => {
    if (room > 0) chunks.push(chunk.subarray(0, room))
    if (chunk.length > room && room >= 0) onExcess()
    room = chunk.length > room ? -1 : room - chunk.length
  })
  return chunks
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function interrupted(program: string, signal: AbortSignal | undefined): ForerunError {
  return new ForerunError('interrupted', `interrupted while ${program} ran`, { cause: signal?.reason })
}

function absent(program: string): ProgramFailure {
  return new ProgramFailure(
    program,
    { kind: 'absent', what: 'is not installed' },
    {
      hint: 'Install it where PATH leads; root is given only what nobody else may write to.',
    },
  )
}

function unstartable(program: string, cause: NodeJS.ErrnoException): ProgramFailure {
  const fault = cause.code === 'ENOENT' ? ('absent' as const) : ('unstartable' as const)
  const what = fault === 'absent' ? 'is not installed' : `cannot be started (${cause.code})`
  return new ProgramFailure(program, { kind: fault, what }, { hint: `Look at the file of ${program}.`, cause })
}

function tookTooLong(program: string, timeout: number): ProgramFailure {
  return new ProgramFailure(
    program,
    { kind: 'time', what: `took longer than ${timeout / 1000} s` },
    {
      hint: `Run ${program} by hand, and see what it waits for.`,
    },
  )
}

function wroteTooMuch(program: string, limit: number): ProgramFailure {
  return new ProgramFailure(
    program,
    { kind: 'output', what: `wrote more than ${limit} bytes` },
    {
      hint: `Run ${program} by hand, and see what it writes.`,
    },
  )
}
