// What `check` tells of one thing that it looked at. Types only.

export interface Finding {
  level: "good" | "warning" | "failed";
  /** What it is about: `database`, `keys`, `http.listen`. */
  about: string;
  message: string;
  code?: string;
  remedy?: string | undefined;
}
