import { updateContainer } from "../../../client/containers.ts";
import { atLeast, defineCommand, joinErrors, StatusError } from "../../command.ts";
import { string } from "../../flags/flags.ts";
import { parseRestartPolicy } from "../../options/container-config.ts";
import { containerFlags } from "../../options/container-flags.ts";

const {
  "blkio-weight": blkioWeight,
  "cpu-period": cpuPeriod,
  "cpu-quota": cpuQuota,
  "cpu-rt-period": cpuRealtimePeriod,
  "cpu-rt-runtime": cpuRealtimeRuntime,
  "cpu-shares": cpuShares,
  cpus,
  "cpuset-cpus": cpusetCpus,
  "cpuset-mems": cpusetMems,
  memory,
  "memory-reservation": memoryReservation,
  "memory-swap": memorySwap,
  "pids-limit": pidsLimit,
} = containerFlags;

export const command = defineCommand({
  use: "update [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Update configuration of one or more containers",
  aliases: "container update, update",
  args: atLeast(1),
  flags: {
    "blkio-weight": blkioWeight,
    "cpu-period": cpuPeriod,
    "cpu-quota": cpuQuota,
    "cpu-rt-period": cpuRealtimePeriod,
    "cpu-rt-runtime": cpuRealtimeRuntime,
    "cpu-shares": cpuShares,
    cpus,
    "cpuset-cpus": cpusetCpus,
    "cpuset-mems": cpusetMems,
    memory,
    "memory-reservation": memoryReservation,
    "memory-swap": memorySwap,
    "pids-limit": pidsLimit,
    restart: string({ usage: "Restart policy to apply when a container exits" }),
  },
  async run({ flags, changed, args, cli }) {
    const given = (Object.keys(command.flags) as (keyof typeof flags)[]).filter((name) => changed(name));
    if (given.length === 0) {
      throw new Error("you must provide one or more flags when using this command");
    }
    const change = {
      ...(flags.restart && { RestartPolicy: parseRestartPolicy(flags.restart) }),
      BlkioWeight: flags["blkio-weight"],
      CpuPeriod: flags["cpu-period"],
      CpuQuota: flags["cpu-quota"],
      CpuRealtimePeriod: flags["cpu-rt-period"],
      CpuRealtimeRuntime: flags["cpu-rt-runtime"],
      CpuShares: flags["cpu-shares"],
      CpusetCpus: flags["cpuset-cpus"],
      CpusetMems: flags["cpuset-mems"],
      Memory: flags.memory,
      MemoryReservation: flags["memory-reservation"],
      MemorySwap: flags["memory-swap"],
      NanoCpus: flags.cpus,
      ...(changed("pids-limit") && { PidsLimit: flags["pids-limit"] }),
    };
    const warnings: string[] = [];
    const errors: unknown[] = [];
    for (const name of args) {
      try {
        warnings.push(...(await updateContainer(cli.engine, name, change)));
        cli.stdout.line(name);
      } catch (error) {
        errors.push(error);
      }
    }
    if (warnings.length > 0) cli.stderr.line(warnings.join("\n"));
    const failed = joinErrors(errors);
    if (failed) throw new StatusError(failed.message, 1, { cause: failed });
  },
});
