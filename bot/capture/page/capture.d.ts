/** What CONFIG.capture holds; see bot/capture/page_parts.py. */
interface CaptureConfig {
  takeVideo: boolean;
  canned: Record<string, { key: string; deltas: string[] }> | null;
  silence: boolean;
}

/** How one track is tapped; travels to the worker as the options of its transform. */
interface TapOptions {
  index: number;
  /** Ship the frames to Python. */
  take: boolean;
  /** Replace what the decoder gets. */
  replace: boolean;
}

type EncodedFrame = RTCEncodedAudioFrame | RTCEncodedVideoFrame;

interface FrameTap {
  pump(readable: ReadableStream<any>, writable: WritableStream<any>, options: TapOptions): void;
  tap(options: TapOptions): TransformStream<any, any>;
  encode(readable: ReadableStream<any>, index: number, delayMs: number): void;
  delay(index: number, delayMs: number): void;
  want(index: number, wanted: boolean): void;
  flush(): void;
}

interface CannedFrames {
  key: Uint8Array;
  deltas: Uint8Array[];
}

interface MediaStreamTrackProcessor {
  readonly readable: ReadableStream<any>;
}
declare const MediaStreamTrackProcessor: {
  new (init: { track: MediaStreamTrack }): MediaStreamTrackProcessor;
};

interface RTCRtpReceiver {
  createEncodedStreams?(): { readable: ReadableStream<any>; writable: WritableStream<any> };
}

/** What the main thread knows about one received track. */
interface CapturedTrack {
  index: number;
  receiver: RTCRtpReceiver;
  track: MediaStreamTrack;
  pc: RTCPeerConnection;
  /** Of the streams that the page's track event named. */
  streamIds: string[];
  /** 'ours': our script transform; 'after': behind the page's own streams; 'decoded': PCM. */
  mode: 'none' | 'ours' | 'after' | 'decoded' | 'lost';
  /** Frames or chunks seen, as last counted by the worker. */
  frames: number;
  packets: number;
  stalledSince: number;
  alarmed: boolean;
}
