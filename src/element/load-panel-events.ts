/** The user agrees to load the model, or tries again. Stays inside the element. */
export class LoadRequestEvent extends Event {
  static readonly type = 'load-request';

  constructor() {
    super(LoadRequestEvent.type, { bubbles: true });
  }
}

/** The user ends a load. Stays inside the element. */
export class LoadCancelEvent extends Event {
  static readonly type = 'load-cancel';

  constructor() {
    super(LoadCancelEvent.type, { bubbles: true });
  }
}

/** The user lets a load rest, or goes on with it. Stays inside the element. */
export class LoadPauseEvent extends Event {
  static readonly type = 'load-pause';
  readonly isPaused: boolean;

  constructor(isPaused: boolean) {
    super(LoadPauseEvent.type, { bubbles: true });
    this.isPaused = isPaused;
  }
}

/** The user wants to see the kept models. Stays inside the element. */
export class StorageRequestEvent extends Event {
  static readonly type = 'storage-request';

  constructor() {
    super(StorageRequestEvent.type, { bubbles: true });
  }
}

/** The user wants to choose a model folder. Stays inside the element. */
export class FolderRequestEvent extends Event {
  static readonly type = 'folder-request';

  constructor() {
    super(FolderRequestEvent.type, { bubbles: true });
  }
}
