//! TypeScript declarations of the JavaScript interface.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** An image. The network sees its central square. */
export type Source =
    | ImageBitmap | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement | HTMLImageElement | VideoFrame | ImageData;

/** How DO-Conv layers are run; all compute the same function. */
export type Mode = "folded" | "kernel" | "feature";

export interface LoadOptions {
    /** "auto", the default: WebGPU on hardware, else the CPU path; "webgpu" takes a software adapter too. */
    adapter?: "auto" | "webgpu" | "cpu";
    /** What `classify` uses where it is not told; "folded" if absent. */
    mode?: Mode;
    /** What errors call the file. */
    name?: string;
    /** Preprocessing for files that do not describe it: ImageNet's mean and deviation, −1…1, or 0…1. */
    preprocess?: "imagenet" | "symmetric" | "unit";
    /** Class names for files that have none, one for every class. */
    labels?: string[];
    /** Make a D and a W of the kernels of layers that are marked as DO-Conv but folded: the same function. */
    expand?: boolean;
    /** At most so many threads for the CPU path: as many as the processor has, up to 4, if absent. README.md says where. */
    threads?: number;
    /**
     * Which kernels run the network's convolutions on WebGPU: "load", the default, those that were the fastest when they
     * were timed, in this browser or by us; "full" times them first, which takes minutes, and remembers; "off" goes by
     * heuristics.
     */
    tune?: Tune;
    /** Called before each layer whose kernels are timed. */
    onTuning?: (progress: { done: number; total: number; label: string }) => void;
}

export type Tune = "off" | "load" | "full";

export interface ClassifyOptions {
    /** How many classes; 5 if absent. */
    topK?: number;
    mode?: Mode;
}

export interface CompareOptions {
    /** How often every mode is timed; 3 if absent. */
    repeat?: number;
}

export interface AdapterInfo {
    name: string;
    backend: string;
    driver: string;
    type: "discrete" | "integrated" | "other" | "software" | "cpu";
    /** Optional WebGPU features that it has. */
    features: string[];
    limits: Record<string, number>;
    vendor?: string;
    architecture?: string;
}

export interface Prediction {
    class: number;
    label: string;
    /** 0…1 */
    probability: number;
}

export interface Classification {
    /** Best first. */
    predictions: Prediction[];
    /** From the image to the predictions, loading a mode excluded. */
    elapsedMs: number;
}

export interface ModelInfo {
    name: string;
    classes: number;
    parameters: number;
    /** Channels, height, width. */
    input: [number, number, number];
    /** Layers that are marked as DO-Conv. */
    doconvLayers: number;
    /** Those of them that the file holds as D and W. */
    composedLayers: number;
    saysPreprocess: boolean;
    hasLabels: boolean;
    /** Multiply-accumulates for one image. */
    macs: Record<Mode, number>;
}

/** Milliseconds. */
export interface LoadTimes {
    /** Reading the file, and expanding it where that was asked for. */
    readMs: number;
    /** Opening the adapter. */
    openMs: number;
    /** Packing and uploading the weights. */
    uploadMs: number;
    /** Compiling shaders and making buffers. */
    compileMs: number;
    /** Comparing every kernel with the CPU path, where that was not done before on this device. */
    checkMs: number;
    /** Composing all kernels on the adapter; packing included on the CPU path. */
    foldMs: number;
    totalMs: number;
}

export interface ModeResult {
    mode: Mode;
    /** Median. */
    elapsedMs: number;
    macs: number;
    /** Of any class's probability to that in mode "folded". */
    largestDifference: number;
}

export interface DoConvLayer {
    name: string;
    kernel: [number, number];
    inChannels: number;
    outChannels: number;
    groups: number;
    dMul: number;
}

/** What one kernel of a layer is made of: kernel = D · w. */
export interface Factors {
    /** The effective D of the input channel, [taps][dMul]. */
    d: Float32Array;
    /** [dMul] */
    w: Float32Array;
    /** [rows][columns] */
    kernel: Float32Array;
    kernelSize: [number, number];
    dMul: number;
    /** The input channel whose D it is. */
    inputChannel: number;
}

/** `doconv bench` has more, natively. */
export type BenchmarkSuite = "layers" | "networks";

export interface BenchmarkOptions {
    adapter?: "auto" | "webgpu" | "cpu";
    /** What errors call the model file. */
    name?: string;
    /** Both if absent. */
    suites?: BenchmarkSuite[];
    /** Only cases with this in their names. */
    filter?: string;
    /** As for `Classifier.load`; `onProgress` is told of layers whose kernels are timed, too. */
    tune?: Tune;
    /** Time for a case's samples; 2000 if absent. */
    budgetMs?: number;
    /** Called before each case and after each sample; `false` ends the benchmark. */
    onProgress?: (progress: { done: number; total: number; label: string }) => boolean | void;
}

/** A benchmark's record; docs/benchmarks.md says what its fields mean. */
export interface BenchmarkRecord {
    schema: string;
    version: string;
    commit: string | null;
    date: string;
    environment: { os: string; browser: string | null; threads: number };
    adapter: AdapterInfo;
    settings: Record<string, unknown>;
    stopped: boolean;
    results: BenchmarkResult[];
}

export interface BenchmarkCase {
    suite: BenchmarkSuite;
    name: string;
    mode: Mode;
    batch: number;
    macs: number;
    bytes: number;
}

/** A case with its figures, or with the reason why there are none. */
export type BenchmarkResult =
    | (BenchmarkCase & {
        error?: undefined;
        kernels: string[];
        check: { ok: boolean; largest_error: number | null; tolerance: string };
        setup_ms: number;
        first_ms: number;
        repeats: number;
        samples_ms: number[];
        median_ms: number;
        ci95_ms: [number, number];
        gmacs_per_s: number;
        gbytes_per_s: number;
        drift?: number;
    })
    | (BenchmarkCase & { error: string });
"#;
