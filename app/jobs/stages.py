"""What a job says it is doing. The values are what the API shows; pages translate them."""

from enum import StrEnum


class JobStage(StrEnum):
    FREEZE = "Freezing the data set"
    LOAD = "Loading the backbone"
    READ_PHOTOS = "Reading photos"
    MEASURE_CONFIDENCE = "Measuring confidence"
    LEARN = "Learning from labels"
    LEARN_PSEUDO_LABELS = "Learning from pseudo-labels"
    EVALUATE = "Evaluating"
    SAVE = "Saving the model"
    TEACH = "Teaching a student"
    EXPORT_MODEL = "Writing and measuring the files"
    COMPARE = "Comparing with the live version"
    PREDICT = "Predicting"
    READ_FILE = "Reading the file"
    IMPORT = "Importing"
    WRITE_FILE = "Writing the file"
    WAIT = "Waiting for other jobs of the project to stop"
    REMOVE_PHOTOS = "Removing photos"
    REMOVE_FILES = "Removing models and files"
