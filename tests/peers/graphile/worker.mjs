// One process of Graphile Worker, at the batch settings of its own performance
// page (https://worker.graphile.org/docs/performance). Works until its input
// ends, then says how many jobs it has done. DATABASE_URL: where.
import { Logger, run } from "graphile-worker";

let done = 0;
const runner = await run({
  preset: {
    worker: {
      connectionString: process.env.DATABASE_URL,
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      logger: new Logger(() => () => {}),
    },
  },
  taskList: {
    probe: () => {
      done += 1;
    },
  },
  crontab: "",
  noHandleSignals: true,
});
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", async () => {
  await runner.stop();
  process.stdout.write(`${done}\n`);
  process.exit(0);
});
