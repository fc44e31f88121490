/** The engine's thread. */

import type { Line } from "./messages";
import { serve } from "./serve";

serve(self as unknown as Line); // TypeScript takes it for a window, whose postMessage asks for an origin
