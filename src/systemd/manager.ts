/** The systemd manager of a running host. Over D-Bus in `dbus-manager.ts`. Close it with `await using`. */
export interface SystemdManager extends AsyncDisposable {
  /** Reads all unit files anew. */
  reload(): Promise<void>
  /**
   * Starts and waits for the job, as long as systemd itself does. @throws ForerunError `systemd` when the job does not end
   * in `done`, `unit` when there is no unit that could be started, `interrupted` when the signal aborts the waiting.
   */
  start(unit: string): Promise<void>
  /**
   * Stops and starts in one job, which restarts the active units that require it, too; starts one that is not active. Waits and
   * throws as `start`.
   */
  restart(unit: string): Promise<void>
  /** Stops and waits for the job. A unit that is not loaded counts as stopped. */
  stop(unit: string): Promise<void>
  /** Clears the failed state; nothing when there is none. */
  resetFailed(unit: string): Promise<void>
  /** Properties of a unit, loading it when need be. */
  status(unit: string): Promise<UnitStatus>
  /** The active units that stop and restart with it, since they require it, those that require these among them. */
  dependants(unit: string): Promise<string[]>
  /** How a service fares. @throws ForerunError `systemd`. */
  service(unit: string): Promise<ServiceStatus>
  /** The states of many units in one call, by the names asked for; a unit that does not exist is `not-found`. */
  statuses(units: readonly string[]): Promise<Map<string, UnitState>>
}

export interface UnitState {
  /** `loaded`, `not-found`, `bad-setting`, `error`, `masked`. */
  readonly loadState: string
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`. */
  readonly activeState: string
  readonly subState: string
}

export interface UnitStatus extends UnitState {
  /** What made loading fail; empty when nothing did. */
  readonly loadError: string
  /** `enabled`, `disabled`, `static`, `alias`, …; empty when there is no unit file. */
  readonly unitFileState: string
  /** Path of the unit file; empty when there is none. */
  readonly fragmentPath: string
  /** 0 when there is none. */
  readonly mainPid: number
  /** Unix time in seconds since when it is in its state; 0 for one that was never started. */
  readonly since: number
  /** Another one for each start (systemd.exec(5), `INVOCATION_ID`); empty for a unit that was not started yet. */
  readonly invocation: string
  /** The slice that a service is, or will be started, in; undefined for other kinds of units and one that is not loaded. */
  readonly slice?: string
}

export interface ServiceStatus extends UnitState {
  /** `simple`, `exec`, `forking`, `oneshot`, `notify`, … */
  readonly type: string
  /** Why it failed: `exit-code`, `signal`, `timeout`, `start-limit-hit`, …; `success` while it did not. */
  readonly result: string
  /** How often systemd has started it anew by itself since somebody started it. */
  readonly restarts: number
  /** Whether systemd has a job for it: it is to be started or stopped. */
  readonly hasJob: boolean
  /** As in `UnitStatus`. */
  readonly invocation: string
  /** Milliseconds since it became active; 0 while it is not. */
  readonly activeFor: number
}
