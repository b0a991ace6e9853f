from pipeline.teacher import prompts


def test_each_template_makes_a_row_of_spoken_classes():
    made = prompts.texts(["this is a photo of a {}", "{}!"], ["dog", "alarm_clock"])
    assert made == [["this is a photo of a dog", "this is a photo of a alarm clock"], ["dog!", "alarm clock!"]]


def test_case_is_kept_as_in_the_official_code():
    assert prompts.spoken("Alarm_Clock") == "Alarm Clock"
