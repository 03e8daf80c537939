"""What trainings say of themselves (docs/tracking.md). Written by ingest.py alone."""

import datetime

from django.db import models
from django.db.models.functions import Now

from bench_server.datasets.models import Blob
from bench_server.runs.models import Attempt

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Track(models.Model):
    """A file that one process of an attempt writes, and how far it has come."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="tracks")
    writer = models.CharField(max_length=100)
    rank = models.BigIntegerField()
    received = models.BigIntegerField(default=0)  # bytes of the file, whose records all are in these tables
    skipped = models.BigIntegerField(default=0)  # bytes among them that were left out
    shapes = models.JSONField(default=dict)  # the ids of each shape's series, null for one left out
    media_bytes = models.BigIntegerField(default=0)  # of its file; what lies behind was never committed
    dropped = models.BigIntegerField(default=0)  # points that the writer's full disk cost

    class Meta:
        constraints = (models.UniqueConstraint(fields=["attempt", "writer"], name="track_of_attempt"),)


class Series(models.Model):
    """The points of one name in one track. Those behind the last block are in `tail`."""

    track = models.ForeignKey(Track, models.CASCADE, related_name="series")
    name = models.CharField(max_length=256)
    count = models.BigIntegerField(default=0)
    first_step = models.BigIntegerField(default=0)
    last_step = models.BigIntegerField(default=0)
    last_time = models.BigIntegerField(default=0)  # Unix, ns
    last = models.FloatField(null=True)  # null: NaN
    min = models.FloatField(null=True)  # of the finite values; null: there is none
    max = models.FloatField(null=True)
    tail = models.BinaryField(default=b"")  # points.POINT
    tail_batches = models.BinaryField(default=b"")  # points.BATCH of the same points

    class Meta:
        constraints = (models.UniqueConstraint(fields=["track", "name"], name="series_of_track"),)
        indexes = (models.Index(fields=["name", "track"], name="series_by_name"),)


class Block(models.Model):
    """Points of a series, in the order in which they were logged."""

    series = models.ForeignKey(Series, models.CASCADE, related_name="blocks", db_index=False)
    start = models.BigIntegerField()  # how many points of the series come before
    count = models.BigIntegerField()
    first_step = models.BigIntegerField()  # the least and the greatest
    last_step = models.BigIntegerField()
    points = models.BinaryField()  # points.POINT
    batches = models.BinaryField()  # points.BATCH; empty: none is known

    class Meta:
        constraints = (models.UniqueConstraint(fields=["series", "start"], name="block_of_series"),)
        indexes = (
            models.Index(fields=["series", "first_step", "last_step", "start", "count"], name="block_steps"),
        )


class Bucket(models.Model):
    """Buckets of a series, up to points.PAGE of them: each stands for 16 ** level points."""

    series = models.ForeignKey(Series, models.CASCADE, related_name="buckets", db_index=False)
    level = models.SmallIntegerField()
    start = models.BigIntegerField()  # how many buckets of the level come before
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    buckets = models.BinaryField()  # points.BUCKET

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["series", "level", "start"], name="buckets_of_series"),
        )


class Media(models.Model):
    """A histogram, image, text or table. Its content lies in the track's media file."""

    track = models.ForeignKey(Track, models.CASCADE, related_name="media")
    name = models.CharField(max_length=256)
    step = models.BigIntegerField()
    time = models.BigIntegerField()  # Unix, ns
    header = models.JSONField()
    offset = models.BigIntegerField()
    size = models.BigIntegerField()

    class Meta:
        indexes = (models.Index(fields=["track", "name", "step"], name="media_of_track"),)


class Order(models.Model):
    """Which samples the batches of points were: an order record."""

    track = models.ForeignKey(Track, models.CASCADE, related_name="orders")
    number = models.BigIntegerField()
    order = models.JSONField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["track", "number"], name="order_of_track"),)


class Checkpoint(models.Model):
    """A checkpoint that an attempt has made, and has not removed; elsewhere, see forgetting.py."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=200)  # its folder's
    path = models.CharField(max_length=1000)  # as the writer has it
    step = models.BigIntegerField()
    metric = models.FloatField(null=True)
    is_best = models.BooleanField(default=False)  # when it was made
    size_bytes = models.BigIntegerField(default=0)
    note = models.JSONField()
    create_time = models.DateTimeField(db_default=Now())
    keep_time = models.DateTimeField(null=True)  # since when the server keeps all its files, if it does
    document = models.BinaryField(default=b"")  # its checkpoint.json, if it does
    remove_time = models.DateTimeField(null=True)  # since when a run of elsewhere has it no more

    class Meta:
        constraints = (models.UniqueConstraint(fields=["attempt", "name"], name="checkpoint_of_attempt"),)

    @property
    def write_time(self) -> datetime.datetime:
        """When the training wrote it, as it said; else when the server heard of it."""
        said = self.note.get("time")
        if type(said) is int:
            try:
                return EPOCH + datetime.timedelta(microseconds=said // 1000)
            except OverflowError:
                pass
        return self.create_time


class CheckpointFile(models.Model):
    """A file of a checkpoint that the server keeps: a blob of the run's project."""

    checkpoint = models.ForeignKey(Checkpoint, models.CASCADE, related_name="files", db_index=False)
    path = models.CharField(max_length=1000)  # below the checkpoint's folder
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="checkpoint_files")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["checkpoint", "path"], name="file_of_checkpoint"),)
