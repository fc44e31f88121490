/** The camera: its middle, cut to the network's shape, as often as the network answers. Nothing is kept or sent. */
import { Refusal, type Picture } from "../net/types";

const MOST = 4; // pixels of the camera for each of the network's: more would only be averaged away
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "environment" };
const CODES: Readonly<Record<string, string>> = {
  NotAllowedError: "camera-refused",
  SecurityError: "camera-refused",
  NotFoundError: "camera-absent",
  OverconstrainedError: "camera-absent",
  NotReadableError: "camera-busy",
  AbortError: "camera-busy",
};

export interface Taker {
  /** Size (H, W) of the network's picture. */
  size: () => readonly [number, number];
  /** A new picture; the next but one is taken when it has been answered. */
  take: (picture: Picture) => Promise<unknown>;
  /** The camera went away by itself. */
  lost: () => void;
}

export class Camera {
  running = $state(false);
  starting = $state(false);
  private stream: MediaStream | null = null;
  private readonly video = document.createElement("video");
  private readonly canvas = document.createElement("canvas");

  constructor(private readonly taker: Taker) {
    this.video.muted = true;
    this.video.playsInline = true;
  }

  /** Asks for the camera and takes pictures until it is stopped. Throws Refusal. */
  async start(): Promise<void> {
    if (this.running || this.starting) return;
    this.starting = true;
    try {
      if (!navigator.mediaDevices) throw new Refusal("camera-absent");
      const stream = await navigator.mediaDevices.getUserMedia({ video: WANTED });
      if (!this.starting) {
        for (const track of stream.getTracks()) track.stop(); // stopped while the browser asked
        return;
      }
      this.stream = stream;
      for (const track of stream.getVideoTracks()) track.addEventListener("ended", () => this.vanished(stream));
      this.video.srcObject = stream;
      await this.video.play();
      this.running = true;
      void this.takeAll(stream);
    } catch (error) {
      this.stop();
      if (error instanceof Refusal) throw error;
      throw new Refusal(CODES[error instanceof Error ? error.name : ""] ?? "camera-absent");
    } finally {
      this.starting = false;
    }
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.running = false;
    this.starting = false;
  }

  private vanished(stream: MediaStream): void {
    if (this.stream !== stream) return;
    this.stop();
    this.taker.lost();
  }

  /** One picture waits while the one before is being answered, so that neither thread waits for the other. */
  private async takeAll(stream: MediaStream): Promise<void> {
    let answered: Promise<unknown> = Promise.resolve();
    while (this.stream === stream) {
      await this.nextFrame();
      if (this.stream !== stream) return;
      const picture = this.frame();
      if (!picture) continue;
      const before = answered;
      answered = this.taker.take(picture);
      await before;
    }
  }

  private nextFrame(): Promise<unknown> {
    const frame = new Promise((resolve) => this.video.requestVideoFrameCallback(resolve));
    return Promise.race([frame, new Promise((resolve) => setTimeout(resolve, 200))]);
  }

  private frame(): Picture | null {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || !videoHeight) return null;
    const [height, width] = this.taker.size();
    const shape = Math.min(videoWidth / width, videoHeight / height);
    const scale = Math.min(shape, MOST);
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return null;
    const [across, down] = [width * shape, height * shape];
    const [left, top] = [(videoWidth - across) / 2, (videoHeight - down) / 2];
    context.drawImage(this.video, left, top, across, down, 0, 0, this.canvas.width, this.canvas.height);
    const { data } = context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    return { width: this.canvas.width, height: this.canvas.height, data };
  }
}
