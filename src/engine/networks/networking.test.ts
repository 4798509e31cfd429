import { testContainerNetworking } from "../../core/networking.contract.ts";

testContainerNetworking("engine/networks over bridges", (ground) => ground.open(), { firstPort: 5410 });
