import { testContainerSandboxes } from "../../core/networking.contract.ts";

testContainerSandboxes("engine/networks over bridges", (ground) => ground.open(), { firstPort: 5410 });
