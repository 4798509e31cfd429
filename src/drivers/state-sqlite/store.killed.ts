/** The victim of the kill test: commits a pair in a loop and acknowledges each commit on stdout. */
import { openSqliteStateStore } from "./store.ts";

const [path = ""] = process.argv.slice(2);
using store = openSqliteStateStore(path);
const pairs = store.table<number>("counts");
for (let i = 0; ; i++) {
  store.transaction(() => {
    pairs.put("first", i);
    pairs.put("second", i);
  });
  process.stdout.write(`${i}\n`);
  await Bun.sleep(0);
}
